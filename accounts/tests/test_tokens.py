"""What a token must be to count (contract section 2; security-cases.md, rows 40 to 55)."""

import base64
import json
import logging
import time
from datetime import timedelta

import jwt
import pytest
import time_machine
from django.conf import settings
from django.db import connection
from django.utils import timezone

from accounts.models import Session, User
from accounts.tests.factories import PASSWORD
from accounts.tests.steps import (
    access_token,
    begin,
    given_token,
    log_in,
    me,
    present,
    refresh_token,
)
from accounts.tokens import AccessToken, RefreshToken

pytestmark = pytest.mark.django_db

OTHER_KEY = "another-key-that-is-long-enough-0123456789"


@pytest.fixture
def session(user) -> Session:
    return begin(user)


def claims(token: str) -> dict[str, object]:
    return jwt.decode(token, options={"verify_signature": False})


def signed(payload: dict[str, object], key: str | None = None, **headers: object) -> str:
    return jwt.encode(payload, key or settings.JWT_SIGNING_KEY, "HS256", headers=headers or None)


def segment(data: object) -> str:
    raw = data if isinstance(data, bytes) else json.dumps(data).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def test_an_access_token_lives_15_minutes(session):
    token = access_token(session)

    with time_machine.travel(timezone.now() + timedelta(minutes=15, seconds=-2), tick=False):
        assert me(token).status_code == 200
    with time_machine.travel(timezone.now() + timedelta(minutes=15, seconds=1), tick=False):
        assert me(token).status_code == 401


@pytest.mark.parametrize("kind", [access_token, refresh_token])
def test_a_token_carries_all_that_is_checked(session, kind):
    token = kind(session)

    payload = claims(token)
    assert set(payload) == {"iss", "aud", "exp", "iat", "jti", "sid", "sub", "token_type"}
    assert payload["sid"] == str(session.pk)
    assert payload["sub"] == str(session.user_id)
    assert jwt.get_unverified_header(token) == {"alg": "HS256", "typ": "JWT"}


def test_a_refresh_token_lives_14_days(session):
    payload = claims(refresh_token(session))

    assert payload["exp"] - payload["iat"] == 14 * 24 * 3600


def test_tokens_are_signed_with_the_key_of_their_own(session):
    with pytest.raises(jwt.InvalidSignatureError):
        jwt.decode(access_token(session), settings.SECRET_KEY, ["HS256"], audience="movieshelf")


def test_row_40_a_new_password_ends_the_old_tokens_at_once(user, session):
    """Row 40."""
    refresh, access = refresh_token(session), access_token(session)

    user.set_password("another long phrase")
    user.save()

    assert present(refresh).status_code == 401
    assert me(access).status_code == 401


@pytest.mark.parametrize(
    "switch_off",
    [
        lambda user: User.objects.filter(pk=user.pk).deactivate(),
        lambda user: setattr(user, "is_active", False) or user.save(),
        lambda user: setattr(user, "is_active", False) or user.save(update_fields=["is_active"]),
    ],
    ids=["many", "one", "one column"],
)
def test_row_41_a_deactivated_member_is_out_at_once(user, session, switch_off):
    """Row 41: and is told what a wrong password is told."""
    refresh, access = refresh_token(session), access_token(session)

    switch_off(user)

    assert present(refresh).status_code == 401
    assert me(access).status_code == 401
    assert log_in(user).content == log_in(user, "not the password").content


def test_logins_from_before_a_deactivation_stay_ended(user, session):
    refresh, access = refresh_token(session), access_token(session)
    User.objects.filter(pk=user.pk).deactivate()

    user.refresh_from_db()
    user.is_active = True
    user.save()

    assert present(refresh).status_code == 401
    assert me(access).status_code == 401
    assert log_in(user).status_code == 200


@pytest.mark.parametrize("column", ["password", "is_active"])
def test_what_ends_logins_is_closed_to_bare_updates(user, column):
    with pytest.raises(TypeError):
        User.objects.filter(pk=user.pk).update(**{column: getattr(user, column)})
    with pytest.raises(TypeError):
        User.objects.bulk_update([user], [column])


def test_row_42_the_tokens_of_a_deleted_member_are_dead(user, session):
    """Row 42: simplejwt answered 500 here."""
    refresh, access = refresh_token(session), access_token(session)

    user.delete()

    assert present(refresh).status_code == 401
    assert me(access).status_code == 401
    assert present(refresh, "/auth/logout").status_code == 204


def test_row_43_a_changed_role_counts_at_once(admin):
    """Row 43: the role is read from the database and stands in no token."""
    token = access_token(begin(admin))

    User.objects.filter(pk=admin.pk).update(role="user")

    assert me(token).json()["role"] == "user"
    assert "role" not in claims(token)


def forgeries(good: str) -> dict[str, str]:
    """Row 44."""
    payload = claims(good)
    _, body, signature = good.split(".")
    tokens = {
        f"alg {alg}": f"{segment({'alg': alg, 'typ': 'JWT'})}.{body}."
        for alg in ("none", "None", "nOnE", "NONE", "")
    }
    tokens |= {
        f"alg {alg} with a signature": f"{segment({'alg': alg})}.{body}.{signature}"
        for alg in ("none", "RS256", "ES256", "HS384", "HS512", "PS256", None, 5, ["HS256"])
    }
    keys = ["secret", "key", "", "movieshelf", settings.SECRET_KEY, OTHER_KEY]
    tokens |= {f"key {key[:10]!r}": _hs256(payload, key) for key in keys}
    tokens["no alg"] = f"{segment({'typ': 'JWT'})}.{body}.{signature}"
    tokens["header a list"] = f"{segment(['HS256'])}.{body}.{signature}"
    tokens["payload a list"] = signed_raw(b"[1]")
    tokens["payload no JSON"] = signed_raw(b"{")
    return tokens


def _hs256(payload: dict[str, object], key: str) -> str:
    """Sign with any key, an empty one too, which PyJWT would refuse to."""
    import hashlib
    import hmac

    body = f"{segment({'alg': 'HS256', 'typ': 'JWT'})}.{segment(payload)}"
    return f"{body}.{segment(hmac.digest(key.encode(), body.encode(), hashlib.sha256))}"


def signed_raw(payload: bytes) -> str:
    """Sign what is no object with our own key."""
    import hashlib
    import hmac

    body = f"{segment({'alg': 'HS256', 'typ': 'JWT'})}.{segment(payload)}"
    digest = hmac.digest(settings.JWT_SIGNING_KEY.encode(), body.encode(), hashlib.sha256)
    return f"{body}.{segment(digest)}"


def test_row_44_no_other_key_or_algorithm_counts(session, refused_as):
    """Row 44."""
    for name, token in forgeries(access_token(session)).items():
        assert refused_as.access(token), name
    for name, token in forgeries(refresh_token(session)).items():
        assert refused_as.refresh(token), name


@pytest.fixture
def refused_as(session):
    """Say whether a token is refused with the envelope's 401, and changes nothing."""

    class Refused:
        def access(self, token: str) -> bool:
            return self._is_401(me(token))

        def refresh(self, token: str) -> bool:
            answer = present(token)
            session.refresh_from_db()
            return self._is_401(answer) and session.generation == 0 and not session.revoked_at

        def _is_401(self, answer) -> bool:
            return answer.status_code == 401 and (
                answer.json()["error"]["code"] == "auth_failed"
                and answer["WWW-Authenticate"] == "Bearer"
            )

    return Refused()


@pytest.mark.parametrize(
    "headers",
    [
        {"crit": ["x"]},
        {"crit": ["b64"], "b64": False},
        {"b64": False},
        {"kid": 5},
    ],
    ids=str,
)
def test_row_45_a_header_that_must_be_understood_is_refused(session, refused_as, headers):
    """Row 45."""
    head = segment({"alg": "HS256", "typ": "JWT", **headers})
    _, body, signature = access_token(session).split(".")

    assert refused_as.access(f"{head}.{body}.{signature}")


@pytest.mark.parametrize(
    "headers",
    [
        {"jku": "http://127.0.0.1:9/keys"},
        {"jwk": {"kty": "oct", "k": segment(OTHER_KEY.encode())}},
        {"x5u": "http://127.0.0.1:9/cert"},
        {"kid": "../../dev/null"},
        {"kid": "' OR 1"},
    ],
    ids=str,
)
def test_row_45_a_header_never_chooses_the_key(session, refused_as, headers):
    """Row 45: signed with the key that the header offers."""
    token = signed(claims(access_token(session)), OTHER_KEY, **headers)

    assert refused_as.access(token)


def test_row_46_each_kind_of_token_counts_as_its_own_only(session, refused_as):
    """Row 46."""
    payload = claims(access_token(session))

    assert refused_as.access(refresh_token(session))
    assert refused_as.refresh(access_token(session))
    for kind in ("reset", "", None, ["access"], "ACCESS"):
        assert refused_as.access(signed({**payload, "token_type": kind}))
    del payload["token_type"]
    assert refused_as.access(signed(payload))


BAD_CLAIMS = {
    "exp past": {"exp": 1},
    "exp now": {"exp": "now"},
    "nbf future": {"nbf": 99_999_999_999},
    "iat future": {"iat": 99_999_999_999},
    "no exp": {"exp": None},
    "exp text": {"exp": "99999999999"},
    "exp words": {"exp": "tomorrow"},
    "exp negative": {"exp": -1},
    "exp a list": {"exp": [99_999_999_999]},
    "exp huge": {"exp": 10**30},
    "sub missing": {"sub": None},
    "sub SQL": {"sub": "1 OR 1"},
    "sub huge": {"sub": str(10**30)},
    "sub a list": {"sub": ["1"]},
    "sub a number": {"sub": 1},
    "sub of nobody": {"sub": "0"},
    "sub underscored": {"sub": "1_0"},
    "sid missing": {"sid": None},
    "sid no UUID": {"sid": "1 OR 1"},
    "sid a number": {"sid": 5},
    "sid a list": {"sid": []},
    "sid of nothing": {"sid": "00000000-0000-7000-8000-000000000000"},
    "jti missing": {"jti": None},
    # Row 48.
    "aud wrong": {"aud": "elsewhere"},
    "aud missing": {"aud": None},
    "aud empty": {"aud": []},
    "iss wrong": {"iss": "elsewhere"},
    "iss missing": {"iss": None},
    "iss a list": {"iss": ["movieshelf"]},
}


@pytest.mark.parametrize("wrong", BAD_CLAIMS.values(), ids=BAD_CLAIMS)
def test_rows_47_and_48_every_claim_is_checked(session, refused_as, wrong):
    """Rows 47 and 48: signed with our own key, and still 401, never 500."""
    for kind, is_refused in (
        (access_token, refused_as.access),
        (refresh_token, refused_as.refresh),
    ):
        changed = {**claims(kind(session)), **wrong}
        changed = {name: value for name, value in changed.items() if value is not None}
        if changed.get("exp") == "now":
            changed["exp"] = int(time.time())

        assert is_refused(signed_raw(json.dumps(changed).encode()))


@pytest.mark.parametrize("number", ["1e400", "Infinity", "NaN", "-1e400", "1" + 5_000 * "0"])
def test_row_47_a_time_that_is_no_number_is_refused(session, refused_as, number):
    """Row 47."""
    payload = json.dumps({**claims(access_token(session)), "exp": "EXP"})

    assert refused_as.access(signed_raw(payload.replace('"EXP"', number).encode()))


def spellings(token: str) -> dict[str, str]:
    """Row 49."""
    head, body, signature = token.split(".")
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    last = alphabet.index(signature[-1])
    return {
        "bit": f"{head}.{body}.{alphabet[alphabet.index(signature[0]) ^ 1]}{signature[1:]}",
        "stripped": f"{head}.{body}.",
        "two parts": f"{head}.{body}",
        "padded": f"{token}=",
        "padded twice": f"{token}==",
        "padded head": f"{head}=.{body}.{signature}",
        # The last character's two lowest bits carry nothing.
        "last character": f"{head}.{body}.{signature[:-1]}{alphabet[last ^ 1]}",
        "four dots": f"{token}..",
        "three dots": f"{token}.",
        "extra part": f"{token}.{signature}",
        "junk inside": f"{head}.{body}.{signature[:5]}!{signature[5:]}",
        "plain base64": f"{head}.{body}.{signature}+/",
        "no token": "nonsense",
        "dots": "..",
        "long": f"{head}.{body}.{signature}" + "A" * 1_000_000,
    }


def test_row_49_a_token_has_one_spelling(session, refused_as):
    """Row 49."""
    for name, token in spellings(access_token(session)).items():
        assert refused_as.access(token), name
    for name, token in spellings(refresh_token(session)).items():
        assert refused_as.refresh(token), name


@pytest.mark.parametrize("path", ["/users/me", "/movies"])
@pytest.mark.parametrize(
    "header",
    [
        "",
        "bearer",
        "Bearer",
        "Bearer ",
        "Bearer a b",
        "Bearer {token} b",
        "Bearer  {token}",
        "Bearer {token} ",
        "{token}",
        "Basic dTpw",
        "Basic {token}",
        "Token {token}",
        "Bearer \u00e9\u00ff",
        "Bearer {token}, Bearer {token}",
        "Bearer {token},Bearer {token}",
    ],
)
def test_row_50_an_unusable_header_is_401_on_public_lists_too(api, session, path, header):
    """Row 50: a header that is there but unusable is not anonymous."""
    given = header.format(token=access_token(session))

    response = api.get(path, HTTP_AUTHORIZATION=given)

    assert response.status_code == 401
    assert response.json()["error"]["code"] == "auth_failed"
    assert response["WWW-Authenticate"] == "Bearer"


def test_row_50_the_scheme_is_known_in_any_case(api, session):
    """Row 50; RFC 9110, 11.1."""
    response = api.get("/users/me", HTTP_AUTHORIZATION=f"bEARER {access_token(session)}")

    assert response.status_code == 200


def test_a_refresh_token_is_401_on_public_lists(api, session):
    response = api.get("/movies", HTTP_AUTHORIZATION=f"Bearer {refresh_token(session)}")

    assert response.status_code == 401


@pytest.mark.django_db(transaction=True)
def test_row_52_no_token_and_no_password_is_kept_or_logged(user, caplog):
    """Rows 52 and 75."""
    caplog.set_level(logging.DEBUG)
    login = log_in(user)
    refresh = given_token(login)
    secrets = [login.json()["accessToken"], refresh, PASSWORD]
    refreshed = present(refresh)
    secrets += [refreshed.json()["accessToken"], given_token(refreshed)]
    log_in(user, PASSWORD + "!")
    with time_machine.travel(timezone.now() + timedelta(minutes=1)):
        present(refresh)

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT s::text FROM accounts_session s UNION SELECT u::text FROM accounts_user u"
        )
        kept = str(cursor.fetchall())
    assert "reuse" in caplog.text
    for secret in secrets:
        for part in {secret, secret.rpartition(".")[2]}:
            assert part not in kept
            assert part not in caplog.text


def test_row_54_a_clock_one_hour_back_refuses_and_does_not_fail(session):
    """Row 54: no leeway; what was issued in the future is not yet good."""
    refresh, access = refresh_token(session), access_token(session)

    with time_machine.travel(timezone.now() - timedelta(hours=1), tick=False):
        assert me(access).status_code == 401
        assert present(refresh).status_code == 401

    assert me(access).status_code == 200
    assert present(refresh).status_code == 200


def test_row_55_old_keys_verify_while_they_are_listed(session, settings):
    """Row 55."""
    refresh, access = claims(refresh_token(session)), claims(access_token(session))
    settings.JWT_OLD_SIGNING_KEYS = ["an older one that is long enough 0123456", OTHER_KEY]

    assert me(signed(access, OTHER_KEY)).status_code == 200
    response = present(signed(refresh, OTHER_KEY))

    assert response.status_code == 200
    jwt.decode(given_token(response), settings.JWT_SIGNING_KEY, ["HS256"], audience="movieshelf")


def test_row_55_old_keys_verify_no_longer_than_that(session, refused_as):
    """Row 55."""
    assert refused_as.access(signed(claims(access_token(session)), OTHER_KEY))
    assert refused_as.refresh(signed(claims(refresh_token(session)), OTHER_KEY))


def test_a_token_signed_with_an_old_key_expires_like_any(session, settings):
    settings.JWT_OLD_SIGNING_KEYS = [OTHER_KEY]
    token = signed({**claims(access_token(session)), "exp": 1}, OTHER_KEY)

    assert me(token).status_code == 401


def test_a_token_names_its_session_and_its_member(user, session):
    stranger = User.objects.create_user("stranger@shelf.example", PASSWORD, name="Stranger")
    token = signed({**claims(access_token(session)), "sub": str(stranger.pk)})

    assert me(token).status_code == 401


def test_one_query_knows_who_asks(session, django_assert_num_queries):
    token = access_token(session)

    with django_assert_num_queries(1):
        me(token)


def test_the_two_kinds_say_so():
    assert AccessToken.token_type == "access"
    assert RefreshToken.token_type == "refresh"
