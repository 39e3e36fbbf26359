"""What PostgreSQL asks to be run again is run again (security-cases.md, row 140)."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import OperationalError, connection, transaction

from accounts.models import User
from accounts.tests.factories import UserFactory
from movieshelf.api.errors import Unavailable, translate
from movieshelf.api.transactions import MAX_TRIES, retried_atomic

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def refusals():
    """A trigger that lets the first N renamings of a member fail with a SQLSTATE of choice.

    A sequence counts them: it is the one thing that a rollback does not undo.
    """

    def refuse(times: int, sqlstate: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute("CREATE SEQUENCE renamings")
            cursor.execute(
                f"""
                CREATE FUNCTION refuse_renaming() RETURNS trigger LANGUAGE plpgsql AS $$
                BEGIN
                    IF nextval('renamings') <= {times} THEN
                        RAISE EXCEPTION 'again' USING ERRCODE = '{sqlstate}';
                    END IF;
                    RETURN NEW;
                END $$;
                CREATE TRIGGER refuse_renaming BEFORE UPDATE ON accounts_user
                FOR EACH ROW EXECUTE FUNCTION refuse_renaming()
                """
            )

    yield refuse
    with connection.cursor() as cursor:
        cursor.execute("DROP TRIGGER refuse_renaming ON accounts_user")
        cursor.execute("DROP FUNCTION refuse_renaming")
        cursor.execute("DROP SEQUENCE renamings")


def renamings() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM renamings")
        return cursor.fetchone()[0]


@retried_atomic
def rename(user: User, name: str) -> str:
    """Rename a member and make a note, which must not be made twice."""
    UserFactory(name=f"note that {user.pk} is {name}")
    User.objects.filter(pk=user.pk).update(name=name)
    return name


@pytest.mark.parametrize("sqlstate", ["40001", "40P01"], ids=["serialization", "deadlock"])
@pytest.mark.parametrize("times", [1, MAX_TRIES - 1])
def test_a_transaction_that_could_not_be_serialized_is_run_again(user, refusals, sqlstate, times):
    refusals(times, sqlstate)

    answer = rename(user, "Ada")

    assert answer == "Ada"
    assert renamings() == times + 1
    assert sorted(User.objects.values_list("name", flat=True)) == [
        "Ada",
        f"note that {user.pk} is Ada",
    ]


@pytest.mark.parametrize("sqlstate", ["40001", "40P01"], ids=["serialization", "deadlock"])
def test_after_three_tries_the_answer_is_503(user, refusals, sqlstate):
    refusals(1_000, sqlstate)

    with pytest.raises(OperationalError) as caught:
        rename(user, "Ada")

    assert renamings() == MAX_TRIES
    assert isinstance(translate(caught.value), Unavailable)
    assert User.objects.count() == 1


def test_another_database_error_is_not_retried(user, refusals):
    refusals(1_000, "57014")

    with pytest.raises(OperationalError):
        rename(user, "Ada")

    assert renamings() == 1


def test_inside_of_another_transaction_only_its_opener_may_repeat(user, refusals):
    refusals(1, "40001")

    with pytest.raises(OperationalError), transaction.atomic():
        rename(user, "Ada")

    assert renamings() == 1


def test_what_a_commit_hook_raises_does_not_repeat_what_was_committed(user, refusals):
    refusals(0, "40001")

    @retried_atomic
    def rename_and_fail_later() -> None:
        rename(user, "Ada")
        transaction.on_commit(fail_as_a_deadlock)

    with pytest.raises(OperationalError):
        rename_and_fail_later()

    assert renamings() == 1


def fail_as_a_deadlock() -> None:
    with connection.cursor() as cursor:
        cursor.execute("DO $$ BEGIN RAISE EXCEPTION 'again' USING ERRCODE = '40P01'; END $$")


def test_two_who_really_deadlock_both_succeed(user):
    other = UserFactory()
    both_hold_one = threading.Barrier(2)
    calls = []

    @retried_atomic
    def rename_both(first: User, second: User) -> None:
        calls.append(first.pk)
        User.objects.filter(pk=first.pk).update(name="changed")
        if calls.count(first.pk) == 1:
            both_hold_one.wait(timeout=10)
        User.objects.filter(pk=second.pk).update(name="changed")

    def run(pair: tuple[User, User]) -> None:
        try:
            with connection.cursor() as cursor:
                # Whoever is told to try again waits for the other's commit, however slow the disk.
                cursor.execute("SET lock_timeout = '30s'")
            rename_both(*pair)
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(run, [(user, other), (other, user)]))

    assert len(calls) == 3
    assert set(User.objects.values_list("name", flat=True)) == {"changed"}
