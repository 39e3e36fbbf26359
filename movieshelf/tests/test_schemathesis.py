"""schemathesis' idea of every operation, alone and one after the other, by three kinds of client.

All of its checks run, three with exceptions (`BEYOND_A_SCHEMA`, `NARROWED`). The seed is fixed, the
examples are few; `make fuzz` has more.

Requests go to Django itself, so that each example is undone after it. What stands before Django has
tests of its own (test_hot_answers.py, test_patience.py, test_replica.py), and so have the ceilings
(test_ceilings.py), which are raised here.
"""

import functools
import json
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
import schemathesis
from django.conf import settings as django_settings
from django.core.signals import request_finished, request_started
from django.db import close_old_connections, transaction
from django.utils import timezone
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from schemathesis.checks import CheckFunction
from schemathesis.core.parameters import ParameterLocation
from schemathesis.generation.stateful import run_state_machine_as_test
from schemathesis.specs.openapi import checks

from accounts.models import Session
from accounts.tests.factories import AdminFactory, UserFactory
from accounts.tokens import AccessToken, RefreshToken
from media.tests import pictures
from media.tests.factories import an_image
from movies.tests.factories import MovieFactory
from movieshelf.checks import rates_of
from movieshelf.reference.document import COMMITTED, Document, dicts_in
from movieshelf.wsgi import UTF8Handler
from ratings.tests.factories import RatingFactory
from reviews.tests.factories import ReviewFactory

EXAMPLES = int(os.environ.get("SCHEMATHESIS_EXAMPLES", "2"))
STEPS = 10
ROLES = ["anonymous", "member", "admin"]
HOST = "http://testserver"
FIXED: dict[str, Any] = {
    "derandomize": True,
    "database": None,
    "deadline": None,
    "phases": [Phase.explicit, Phase.generate],
    "suppress_health_check": list(HealthCheck),
}
# Why something is refused that the document has: the code for a field,
BEYOND_A_SCHEMA = {
    ("avatarMediaId", "does_not_exist"),
    ("currentPassword", "wrong"),
    ("file", "invalid"),
    ("newPassword", "password_too_common"),
    ("newPassword", "password_too_similar"),
    ("password", "password_too_common"),
    ("password", "password_too_similar"),
    ("password", "wrong"),
    ("posterMediaId", "does_not_exist"),
    ("since", "invalid"),  # a cursor is ours to make
    ("token", "invalid"),  # of a mail that was never sent
    ("trailerUrl", "invalid"),  # a host longer than DNS has them
    ("value", "not_whole"),  # 5.0, an integer to JSON Schema, is none to us
    # the code for any field, where no pattern would be readable,
    "blank",
    "control",
    # or the message, where no field is to blame.
    "The body holds text that cannot be stored.",
    "This is your own; edit or delete it instead.",
}


def two_kinds(document: Document) -> Document:
    """Say "a date, or null" as two schemas: of one, schemathesis makes an empty date as well."""
    for node in dicts_in(document):
        match node:
            case {"type": [kind, "null"], "format": _}:
                node["anyOf"] = [{**node, "type": kind}, {"type": "null"}]
                for key in node.keys() - {"anyOf", "description"}:
                    del node[key]
    return document


schema = schemathesis.openapi.from_dict(two_kinds(json.loads(COMMITTED.read_bytes())))
schema.app = UTF8Handler()
# `If-Match`, `Range` and `Idempotency-Key` are right or wrong by what is there.
schema.config.checks.positive_data_acceptance.expected_statuses += ["412", "416", "422"]
# The credentials are ours; that none and wrong ones are refused, `ignored_auth` tries. A parameter
# that nobody knows is no violation: it is passed over.
schema.config.generation.update(with_security_parameters=False, allow_extra_parameters=False)
for kind, files in {
    "image/jpeg": [pictures.jpeg()],
    "image/png": [pictures.png()],
    "image/webp": [pictures.webp()],
    "text/csv": [
        b"Date,Name,Year,Letterboxd URI,Rating\n2024-01-02,Dune,2021,https://boxd.it/1,4.5\n"
    ],
}.items():
    schemathesis.openapi.media_type(kind, st.sampled_from(files))


@dataclass
class Caller:
    """Somebody who calls, and what is there to be called by its id: their own first."""

    headers: dict[str, str]
    ids: dict[str, list[Any]]

    @classmethod
    def on_a_shelf(cls, role: str) -> "Caller":
        """Put something on the shelf, and give who calls as `role`."""
        other = UserFactory()
        user = AdminFactory() if role == "admin" else UserFactory()
        own, others = MovieFactory(created_by=user), MovieFactory(created_by=other)
        RatingFactory(user=user, movie=others)
        reviews = [
            ReviewFactory(user=user, movie=others),
            ReviewFactory(user=other, movie=own),
        ]
        session = Session.objects.start(user, user_agent="tests", ip="127.0.0.1")
        return cls(
            headers={} if role == "anonymous" else credentials(session),
            ids={
                "/movies": [own.pk, others.pk],
                "/reviews": [review.pk for review in reviews],
                "/users": [user.pk, other.pk],
                "/users/me/sessions": [str(session.pk)],
                "/media": [str(an_image(uploader=user).pk)],
            },
        )

    def aim(self, case: Any) -> None:
        """Have three cases in four whose id is one by its looks ask for what is there."""
        there = self.ids.get(case.operation.path.partition("/{")[0])
        if there and not case.meta.is_negative_at(ParameterLocation.PATH):
            asked = [case.path_parameters, case.query, case.headers, case.body]
            which = zlib.crc32(json.dumps(asked, default=lambda one: type(one).__name__).encode())
            if which % 4:
                case.path_parameters = dict.fromkeys(
                    case.path_parameters, there[which % len(there)]
                )


def credentials(session: Session) -> dict[str, str]:
    return {
        "Authorization": f"Bearer {AccessToken.of(session, timezone.now())}",
        "Cookie": f"{django_settings.REFRESH_COOKIE_NAME}={RefreshToken.of(session)}",
    }


@contextmanager
def undone() -> Iterator[None]:
    """Leave the shelf as it was."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def accepts_what_it_describes(ctx: Any, response: Any, case: Any) -> bool | None:
    """Check positive_data_acceptance, but for refusals that no schema foretells."""
    if response.status_code == 400:
        error = response.json()["error"]
        reasons = [
            (field, problem["code"])
            for field, problems in error.get("details", {}).items()
            for problem in problems
        ] or [("", error["message"])]
        if all({reason, reason[1]} & BEYOND_A_SCHEMA for reason in reasons):
            return None
    accepted: bool | None = checks.positive_data_acceptance(ctx, response, case)
    return accepted


def but_not_of(path: str, check: CheckFunction) -> CheckFunction:
    """Give a check that leaves the operations of a path out."""

    @functools.wraps(check)
    def narrower(ctx: Any, response: Any, case: Any) -> bool | None:
        return None if case.operation.path.startswith(path) else check(ctx, response, case)

    return narrower


NARROWED: dict[CheckFunction, CheckFunction] = {
    checks.positive_data_acceptance: accepts_what_it_describes,
    # To delete an import takes back what it did; its report stays.
    checks.use_after_free: but_not_of("/imports", checks.use_after_free),
    # A new film is there, but not yet one's rating of it.
    checks.ensure_resource_availability: but_not_of(
        "/movies/{movieId}/rating", checks.ensure_resource_availability
    ),
}
CHECKS: dict[str, list[CheckFunction]] = {
    "additional_checks": list(NARROWED.values()),
    "excluded_checks": list(NARROWED),
}


@pytest.fixture(autouse=True)
def _nobody_is_held_back(request: pytest.FixtureRequest) -> Iterator[None]:
    """Raise the ceilings, and keep the test's connection over requests, as Django's client does."""
    of_the_project = request.getfixturevalue("settings")
    for name in rates_of({name: getattr(of_the_project, name) for name in dir(of_the_project)}):
        setattr(of_the_project, name, "1000000/m")
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


@pytest.fixture(params=ROLES)
def caller(request: pytest.FixtureRequest, db: None) -> Caller:
    return Caller.on_a_shelf(request.param)


@schema.parametrize()
@settings(max_examples=EXAMPLES, **FIXED)
def test_every_operation_does_as_it_is_described(case, caller):
    caller.aim(case)
    with undone():
        case.call_and_validate(base_url=HOST, headers=caller.headers, **CHECKS)


def test_operations_one_after_the_other_do_as_they_are_described(caller):
    class Workflow(schema.as_state_machine()):
        answered: ClassVar[set[str]] = set()

        def setup(self):
            self.undone = undone()
            self.undone.__enter__()

        def teardown(self):
            self.undone.__exit__(None, None, None)

        def get_call_kwargs(self, case):
            return {"base_url": HOST, "headers": caller.headers}

        def validate_response(self, response, case, additional_checks=None, **kwargs):
            if response.status_code < 300:
                self.answered.add(case.operation.label)
            case.validate_response(
                response,
                headers=caller.headers,
                recorder=self.recorder,
                transport_kwargs=kwargs,
                **CHECKS,
            )

    run_state_machine_as_test(
        Workflow, settings=settings(max_examples=EXAMPLES * 5, stateful_step_count=STEPS, **FIXED)
    )

    assert len(Workflow.answered) >= (10 if caller.headers else 2)
