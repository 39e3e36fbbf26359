"""What production refuses to start with (contract section 9; row 159)."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from movieshelf import checks
from movieshelf.checks import rates_of
from movieshelf.embedded import services

ROOT = Path(settings.BASE_DIR)
KEY = "a-key-of-enough-random-bytes-0123456789abcdefghijklmnop"
OTHER_KEY = "another-of-enough-random-bytes-fedcba98765432"

SAFE: dict[str, Any] = {
    "SECRET_KEY": KEY,
    "JWT_SIGNING_KEY": OTHER_KEY,
    "JWT_OLD_SIGNING_KEYS": [],
    "ALLOWED_HOSTS": ["movieshelf.example"],
    "CORS_ALLOWED_ORIGINS": ["https://app.example", "http://127.0.0.1:3000"],
    "REFRESH_COOKIE_SAMESITE": "Strict",
    "TRUSTED_PROXIES": 0,
    "WEB_PROCESSES": 2,
    "REDIS_URL": "redis://127.0.0.1:6379/0",
    "METRICS_TOKEN": "",
    "METRICS_NETWORKS": ["10.0.0.0/8", "::1"],
    "RATELIMIT_ENABLE": True,
    "RATELIMIT_LOGIN_IP": "20/m",
}
PRODUCTION = {
    "DEBUG": "false",
    "SECRET_KEY": KEY,
    "JWT_SIGNING_KEY": OTHER_KEY,
    "ALLOWED_HOSTS": "movieshelf.example",
    "CORS_ALLOWED_ORIGINS": "https://movieshelf.example",
    # The check of generated columns asks the database which version it is.
    "DATABASE_URL": f"postgresql://postgres@/{services.run_dir}/movieshelf",
    "REDIS_URL": "redis://127.0.0.1:1/0",
}


def test_safe_settings_have_no_problem():
    assert list(checks.unsafe_settings(SAFE)) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SECRET_KEY", ""),
        ("SECRET_KEY", "x" * 31),
        ("SECRET_KEY", "django-insecure-0123456789abcdefghijklmnop"),
        ("SECRET_KEY", "Change-Me-0123456789abcdefghijklmnopqrstuvw"),
        ("JWT_SIGNING_KEY", ""),
        ("JWT_SIGNING_KEY", "ä" * 15),
        ("JWT_SIGNING_KEY", "secret0123456789abcdefghijklmnopqrstuvwxyz"),
        ("JWT_SIGNING_KEY", KEY),
        ("JWT_OLD_SIGNING_KEYS", ["short"]),
        ("JWT_OLD_SIGNING_KEYS", [OTHER_KEY, ""]),
        ("ALLOWED_HOSTS", []),
        ("ALLOWED_HOSTS", ["*"]),
        ("ALLOWED_HOSTS", ["movieshelf.example", "*"]),
        ("CORS_ALLOWED_ORIGINS", ["*"]),
        ("CORS_ALLOWED_ORIGINS", ["null"]),
        ("CORS_ALLOWED_ORIGINS", ["https://app.example/"]),
        ("CORS_ALLOWED_ORIGINS", ["app.example"]),
        ("CORS_ALLOWED_ORIGINS", ["https://*.example"]),
        ("COOKIE_SAMESITE", "strict"),
        ("TRUSTED_PROXIES", -1),
        ("METRICS_TOKEN", "short"),
        ("METRICS_NETWORKS", ["10.0.0.1/8"]),
        ("METRICS_NETWORKS", ["everybody"]),
        ("RATELIMIT_LOGIN_IP", "20 a minute"),
        ("RATELIMIT_LOGIN_IP", ""),
        ("REDIS_URL", ""),
    ],
)
def test_an_unsafe_setting_is_named_in_one_line(name, value):
    setting = {"COOKIE_SAMESITE": "REFRESH_COOKIE_SAMESITE"}.get(name, name)

    [problem] = checks.unsafe_settings({**SAFE, setting: value})

    assert problem.startswith(name)
    assert "\n" not in problem
    with pytest.raises(ImproperlyConfigured, match=name):
        checks.refuse_unsafe({**SAFE, setting: value})


def test_no_key_is_shown():
    short = "hush-hush"

    assert short not in str(list(checks.unsafe_settings({**SAFE, "SECRET_KEY": short})))


def test_one_process_needs_no_redis():
    assert list(checks.unsafe_settings({**SAFE, "REDIS_URL": "", "WEB_PROCESSES": 1})) == []


def manage(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run manage.py as production would; an empty value is as good as none, and beats `.env`."""
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **PRODUCTION, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("command", [("check", "--deploy"), ("migrate", "--check")])
def test_a_start_with_an_unsafe_setting_refuses_and_names_it(command):
    refused = manage(*command, JWT_SIGNING_KEY="")

    assert refused.returncode != 0
    assert "JWT_SIGNING_KEY is missing" in refused.stderr.splitlines()[-1]


def test_a_secret_may_stand_in_a_file(tmp_path):
    path = tmp_path / "secret_key"
    path.write_text("short\n")

    refused = manage("check", "--deploy", SECRET_KEY_FILE=str(path))
    missing = manage("check", "--deploy", JWT_SIGNING_KEY_FILE=str(tmp_path / "nothing"))
    path.write_text(f"{KEY}\n")
    clean = manage("check", "--deploy", SECRET_KEY="", SECRET_KEY_FILE=str(path))

    assert "SECRET_KEY is shorter than 32 bytes" in refused.stderr.splitlines()[-1]
    assert "JWT_SIGNING_KEY_FILE cannot be read" in missing.stderr.splitlines()[-1]
    assert clean.returncode == 0, clean.stderr


def test_the_server_does_not_start_either():
    refused = subprocess.run(
        [sys.executable, "-c", "import movieshelf.wsgi"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **PRODUCTION, "ALLOWED_HOSTS": "*"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert refused.returncode != 0
    assert "ALLOWED_HOSTS must not be '*'" in refused.stderr.splitlines()[-1]


def test_the_check_for_deployment_is_clean_and_finds_debug():
    clean = manage("check", "--deploy", "--fail-level", "WARNING")
    debug = manage("check", "--deploy", "--fail-level", "WARNING", DEBUG="true")

    assert clean.returncode == 0, clean.stderr
    assert "no issues" in clean.stdout
    assert debug.returncode != 0
    assert "security.W018" in debug.stderr


def test_the_session_of_the_admin_stays_in_the_admin_and_on_tls():
    """Row 80 (pytest_environment is a production: DEBUG is off)."""
    for name in ("SESSION", "CSRF"):
        assert getattr(settings, f"{name}_COOKIE_SECURE") is True
        assert getattr(settings, f"{name}_COOKIE_HTTPONLY") is True
        assert getattr(settings, f"{name}_COOKIE_SAMESITE") == "Strict"
        assert getattr(settings, f"{name}_COOKIE_PATH") == "/admin"


def test_the_ceilings_are_those_of_the_contract():
    rates = {
        name.removeprefix("RATELIMIT_"): getattr(settings, name)
        for name in rates_of({name: getattr(settings, name) for name in dir(settings)})
    }

    assert rates == {
        "REGISTER_IP": "20/m",
        "REGISTER_ACCOUNT": "10/m",
        "LOGIN_IP": "20/m",
        "LOGIN_ACCOUNT": "10/m",
        "PASSWORD_RESET_IP": "20/m",
        "PASSWORD_RESET_ACCOUNT": "10/m",
        "REFRESH_IP": "60/m",
        "WRITES_USER": "300/m",
        "UPLOADS_USER": "30/h",
        "IMPORTS_USER": "20/h",
    }


def test_every_app_of_ours_goes_into_the_image():
    let_in = (ROOT / ".dockerignore").read_text().splitlines()

    ours = [name for name in settings.INSTALLED_APPS if (ROOT / name).is_dir()]

    assert [name for name in ours if f"!{name}/" not in let_in] == []
    assert "movies" in ours
