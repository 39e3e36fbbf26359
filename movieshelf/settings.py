"""Every setting of MovieShelf, read from the environment, top to bottom like a form.

Variables may also stand in a `.env` file beside manage.py; the environment wins. `.env.example`
lists them all with their defaults. With `DEBUG` off, an unsafe or missing value is refused at the
start by `movieshelf.checks`, which names it.
"""

import sys
import warnings
from datetime import timedelta
from pathlib import Path
from typing import Any

import environ

from movieshelf import __version__, checks
from movieshelf.patience import PatientConnection
from movieshelf.secret_files import SecretFiles

BASE_DIR = Path(__file__).resolve().parent.parent

env = environ.Env(  # type: ignore[no-untyped-call]  # django-environ has no types
    DEBUG=(bool, False),
    SECRET_KEY=(str, ""),
    JWT_SIGNING_KEY=(str, ""),
    JWT_OLD_SIGNING_KEYS=(list, []),
    ALLOWED_HOSTS=(list, []),
    DATABASE_URL=(str, ""),
    DATABASE_REPLICA_URL=(str, ""),
    DATABASE_REPLICA_MAX_LAG_SECONDS=(float, 2.0),
    DATABASE_BEHIND_PGBOUNCER=(bool, False),
    DATABASE_POOL_MAX=(int, 10),
    DATABASE_POOL_TIMEOUT_SECONDS=(float, 5.0),
    DATABASE_STATEMENT_TIMEOUT_MS=(int, 10_000),
    DATABASE_LOCK_TIMEOUT_MS=(int, 3_000),
    DATABASE_PREPARED_STATEMENTS=(bool, True),
    REDIS_URL=(str, ""),
    CORS_ALLOWED_ORIGINS=(list, []),
    TRUSTED_PROXIES=(int, 0),
    WEB_PROCESSES=(int, 2),
    DRAIN_SECONDS=(float, 5.0),
    REQUESTS_AT_ONCE=(int, 8),
    REQUESTS_IN_LINE=(int, 120),
    METRICS_TOKEN=(str, ""),
    METRICS_NETWORKS=(list, []),
    RATELIMIT_ENABLE=(bool, True),
    RATELIMIT_REGISTER_IP=(str, "20/m"),
    RATELIMIT_REGISTER_ACCOUNT=(str, "10/m"),
    RATELIMIT_LOGIN_IP=(str, "20/m"),
    RATELIMIT_LOGIN_ACCOUNT=(str, "10/m"),
    RATELIMIT_PASSWORD_RESET_IP=(str, "20/m"),
    RATELIMIT_PASSWORD_RESET_ACCOUNT=(str, "10/m"),
    RATELIMIT_REFRESH_IP=(str, "60/m"),
    RATELIMIT_WRITES_USER=(str, "300/m"),
    RATELIMIT_UPLOADS_USER=(str, "30/h"),
    RATELIMIT_IMPORTS_USER=(str, "20/h"),
    READ_ONLY=(bool, False),
    EMAIL_URL=(str, ""),
    DEFAULT_FROM_EMAIL=(str, "MovieShelf <shelf@localhost>"),
    PASSWORD_RESET_URL=(str, "http://localhost:3000/reset-password?token={token}"),
    PASSWORD_RESET_MINUTES=(int, 60),
    COOKIE_SECURE=(bool, None),
    COOKIE_SAMESITE=(str, "Strict"),
    ACCESS_TOKEN_MINUTES=(int, 15),
    REFRESH_TOKEN_DAYS=(int, 14),
    LOGIN_DAYS=(int, 90),
    REFRESH_GRACE_SECONDS=(int, 10),
    ARGON2_MEMORY_KIB=(int, 19_456),
    ARGON2_TIME_COST=(int, 2),
    ARGON2_PARALLELISM=(int, 1),
    PASSWORD_HASHES_AT_ONCE=(int, 1),
    BODY_MAX_BYTES=(int, 1024 * 1024),
    MEDIA_MAX_BYTES=(int, 5 * 1024 * 1024),
    CHANGES_KEPT_DAYS=(int, 30),
    IMPORT_MAX_BYTES=(int, 5 * 1024 * 1024),
    IMPORT_MAX_ROWS=(int, 50_000),
    MEDIA_MAX_PIXELS=(int, 40_000_000),
    MEDIA_MAX_SIDE=(int, 16_000),
    MEDIA_UPLOADS_AT_ONCE=(int, 12),
    MEDIA_DECODES_AT_ONCE=(int, 1),
    MEDIA_USER_MAX_BYTES=(int, 200 * 1024 * 1024),
    MEDIA_CACHE_MAX_BYTES=(int, 512 * 1024),
    MEDIA_CACHE_SECONDS=(int, 3600),
    RANK_MAX_AGE_SECONDS=(float, 3.0),
    HOT_ANSWERS_MAX_BYTES=(int, 64 * 1024 * 1024),
    LOG_LEVEL=(str, "INFO"),
    SLOW_QUERY_MS=(int, 500),
    TEST_RUN=(str, "0"),
)
# NAME_FILE, the path of a file with the value of NAME, is how containers are given secrets.
env.ENVIRON = SecretFiles()  # type: ignore[no-untyped-call, assignment]  # as FileAwareEnv does
environ.Env.read_env(BASE_DIR / ".env")

# --- What kind of run this is -------------------------------------------------------------------

DEBUG = env("DEBUG")
TESTING = "pytest" in sys.modules
SECRET_KEY = env("SECRET_KEY")
ALLOWED_HOSTS = env("ALLOWED_HOSTS") or (["127.0.0.1", "localhost", "[::1]"] if DEBUG else [])
READ_ONLY = env("READ_ONLY")
WEB_PROCESSES = env("WEB_PROCESSES")
DRAIN_SECONDS = env("DRAIN_SECONDS")
# Each process (movieshelf.admission); its threads are some more, for health and refusals.
REQUESTS_AT_ONCE = env("REQUESTS_AT_ONCE")
REQUESTS_IN_LINE = env("REQUESTS_IN_LINE")

# --- What it is made of -------------------------------------------------------------------------

INSTALLED_APPS = [
    # Its templates stand in for some of the admin's, so it comes first.
    "moderation",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "corsheaders",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "procrastinate.contrib.django",
    "movieshelf",
    "trail",
    "media",
    "accounts",
    "movies",
    "ratings",
    "reviews",
    "imports",
    "changes",
]

# The first adds what every answer carries and turns what others refused into the envelope, so it
# stands outside of everything that can refuse.
MIDDLEWARE = [
    "movieshelf.middleware.EnvelopeMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "movieshelf.middleware.PageCspMiddleware",
    "movieshelf.middleware.ExactOriginCorsMiddleware",
    "movieshelf.middleware.HostCheckMiddleware",
    "movieshelf.middleware.ReadOnlyAdminMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    # The admin's pages need these; the API steps over them.
    "movieshelf.pages.PageSessionMiddleware",
    "movieshelf.pages.PageCsrfMiddleware",
    "movieshelf.pages.PageAuthenticationMiddleware",
    "movieshelf.pages.PageMessageMiddleware",
    "moderation.redirects.MergedFilmMiddleware",
]

SILENCED_SYSTEM_CHECKS = [
    # LogEntry.user cascades in Python to a model whose avatar is set to null by the database. The
    # check fears deletions that cascade past signals; setting to null deletes nothing.
    "fields.E323",
    # E-mail addresses are unique by `email_key`, where accounts.backends looks them up.
    "auth.W004",
    # PageCsrfMiddleware is Django's, for the admin; the API takes no forms.
    "security.W003",
    # TLS ends at the proxy in front, which redirects; a redirect here would drop a POST's body.
    "security.W008",
    # EnvelopeMiddleware sets X-Frame-Options.
    "security.W002",
    # Preloading HSTS binds a domain for good: the operator's decision, not ours.
    "security.W021",
]

ROOT_URLCONF = "movieshelf.urls"
WSGI_APPLICATION = "movieshelf.wsgi.application"
# What is done without Django around it where nothing is unusual (movieshelf.short_ways).
SHORT_WAYS = ["ratings.short.RATE", "reviews.short.WRITE"]
APPEND_SLASH = False

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

STATIC_URL = "/static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
# The image collects the assets; a checkout finds them in the packages.
WHITENOISE_USE_FINDERS = not STATIC_ROOT.is_dir()
WHITENOISE_AUTOREFRESH = False
# Its own CORS header would be `*`.
WHITENOISE_ALLOW_ALL_ORIGINS = False
warnings.filterwarnings("ignore", message="No directory at")

LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_I18N = False
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- Where it keeps things ----------------------------------------------------------------------


def _database() -> dict[str, Any]:
    if env("DATABASE_URL"):
        return dict(env.db_url("DATABASE_URL"))
    # Only development and tests use the embedded server, so only they import it.
    from movieshelf import embedded

    return embedded.django_database()


def _redis_url() -> str:
    if env("REDIS_URL") or env("DATABASE_URL"):
        return str(env("REDIS_URL"))
    from movieshelf import embedded

    return embedded.valkey_url()


database = _database()
# PgBouncer gives sessions no options of their own (docs/operations.md sets them for the role), and
# each transaction another connection, so that no cursor outlives its own.
SESSION_OPTIONS = (
    f"-c statement_timeout={env('DATABASE_STATEMENT_TIMEOUT_MS')}"
    f" -c lock_timeout={env('DATABASE_LOCK_TIMEOUT_MS')}"
    " -c idle_in_transaction_session_timeout=15000"
    " -c pg_trgm.word_similarity_threshold=0.3"
)
# Another connection would not know what was prepared on this one.
PREPARES_STATEMENTS = env("DATABASE_PREPARED_STATEMENTS") and not env("DATABASE_BEHIND_PGBOUNCER")
DATABASES = {
    "default": {
        **database,
        "DISABLE_SERVER_SIDE_CURSORS": env("DATABASE_BEHIND_PGBOUNCER"),
        "TEST": {"NAME": f"test_movieshelf_{env('TEST_RUN')}"},
        "CONN_MAX_AGE": 0,
        # Ours looks whether a connection of the pool is still open, without asking the database.
        "ENGINE": "movieshelf.postgresql",
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {
            "pool": {
                "check": None,
                "connection_class": PatientConnection,
                "min_size": 1,
                "max_size": env("DATABASE_POOL_MAX"),
                "timeout": env("DATABASE_POOL_TIMEOUT_SECONDS"),
                # As long as somebody may wait for it; who comes later has it try anew. By default
                # it goes on for five minutes, twice as long from one try to the next, and after a
                # minute without a database nobody is served for another.
                "reconnect_timeout": env("DATABASE_POOL_TIMEOUT_SECONDS"),
            },
            # Of the statements of movieshelf.api.statements, from the first time on.
            "prepare_threshold": 0 if PREPARES_STATEMENTS else None,
            "application_name": "movieshelf",
            "connect_timeout": 3,
            "options": "" if env("DATABASE_BEHIND_PGBOUNCER") else SESSION_OPTIONS,
            # What stands in the query of DATABASE_URL wins.
            **database.get("OPTIONS", {}),
        },
    }
}

DATABASE_REPLICA_MAX_LAG_SECONDS = env("DATABASE_REPLICA_MAX_LAG_SECONDS")
if env("DATABASE_REPLICA_URL"):
    replica = dict(env.db_url("DATABASE_REPLICA_URL"))
    default = DATABASES["default"]
    # What stands in the query of one address is not for the other.
    common = {
        name: default["OPTIONS"][name]
        for name in default["OPTIONS"].keys() - database.get("OPTIONS", {}).keys()
    }
    DATABASES["replica"] = {
        **default,
        **replica,
        "TEST": {"MIRROR": "default"},
        "OPTIONS": {
            **common,
            # Where it does not answer, the primary does.
            "pool": {**common["pool"], "timeout": 1.0, "reconnect_timeout": 1.0},
            **replica.get("OPTIONS", {}),
        },
    }
    DATABASE_ROUTERS = ["movieshelf.replica.ReplicaRouter"]

# How long a request listens for an answer: longer than PostgreSQL's own limit, which comes first.
DATABASE_ANSWER_SECONDS = env("DATABASE_STATEMENT_TIMEOUT_MS") / 1000 + 2

REDIS_URL = _redis_url()
CACHES: dict[str, dict[str, Any]] = {
    # Django's own per-process cache stands in where no Valkey is: right for a single process.
    "default": {
        "BACKEND": "django.core.cache.backends.locmem.LocMemCache",
        "OPTIONS": {"MAX_ENTRIES": 50_000},
    },
}
if REDIS_URL:
    CACHES["default"] = {
        "BACKEND": "movieshelf.api.cache.ResilientRedisCache",
        "LOCATION": REDIS_URL,
        # Two databases that share a Valkey, as before and after a restore, have nothing in common.
        "KEY_PREFIX": f"movieshelf:{database['NAME']}",
    }
    CACHES["ceilings"] = {
        **CACHES["default"],
        "BACKEND": "movieshelf.api.cache.CountersCache",
    }

# Images up to this size are kept in Valkey while they are asked for; 0 keeps none.
MEDIA_CACHE_MAX_BYTES = env("MEDIA_CACHE_MAX_BYTES")
MEDIA_CACHE_SECONDS = env("MEDIA_CACHE_SECONDS")

# --- What it does in the background -------------------------------------------------------------

# Each app declares its jobs in `jobs.py`; `manage.py worker` does them.
PROCRASTINATE_AUTODISCOVER_MODULE_NAME = "jobs"

# --- Who may talk to it -------------------------------------------------------------------------

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["accounts.backends.EmailBackend"]
PASSWORD_HASHERS = ["accounts.hashers.BoundedArgon2PasswordHasher"]
ARGON2_MEMORY_KIB = env("ARGON2_MEMORY_KIB")
ARGON2_TIME_COST = env("ARGON2_TIME_COST")
ARGON2_PARALLELISM = env("ARGON2_PARALLELISM")
PASSWORD_HASHES_AT_ONCE = env("PASSWORD_HASHES_AT_ONCE")
AUTH_PASSWORD_VALIDATORS = [
    {
        "NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator",
        "OPTIONS": {"user_attributes": ("name", "email")},
    },
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 10},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]

JWT_SIGNING_KEY = env("JWT_SIGNING_KEY")
JWT_OLD_SIGNING_KEYS = env("JWT_OLD_SIGNING_KEYS")
ACCESS_TOKEN_LIFETIME = timedelta(minutes=env("ACCESS_TOKEN_MINUTES"))
REFRESH_TOKEN_LIFETIME = timedelta(days=env("REFRESH_TOKEN_DAYS"))
LOGIN_LIFETIME = timedelta(days=env("LOGIN_DAYS"))
PASSWORD_RESET_TIMEOUT = 60 * env("PASSWORD_RESET_MINUTES")
REFRESH_GRACE = timedelta(seconds=env("REFRESH_GRACE_SECONDS"))
SIMPLE_JWT = {
    "ALGORITHM": "HS256",
    "SIGNING_KEY": JWT_SIGNING_KEY,
    "ISSUER": "movieshelf",
    "AUDIENCE": "movieshelf",
    "ACCESS_TOKEN_LIFETIME": ACCESS_TOKEN_LIFETIME,
    "REFRESH_TOKEN_LIFETIME": REFRESH_TOKEN_LIFETIME,
    "USER_ID_CLAIM": "sub",
    "UPDATE_LAST_LOGIN": False,
}

COOKIE_SECURE = (not DEBUG) if env("COOKIE_SECURE") is None else env("COOKIE_SECURE")
REFRESH_COOKIE_NAME = "__Secure-refresh_token" if COOKIE_SECURE else "refresh_token"
REFRESH_COOKIE_SAMESITE = env("COOKIE_SAMESITE")
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = COOKIE_SECURE
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Strict"
SESSION_COOKIE_PATH = CSRF_COOKIE_PATH = "/admin"
CSRF_COOKIE_HTTPONLY = True

TRUSTED_PROXIES = env("TRUSTED_PROXIES")
if TRUSTED_PROXIES:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

CORS_ALLOWED_ORIGINS = env("CORS_ALLOWED_ORIGINS")
CORS_ALLOW_CREDENTIALS = True
CORS_ALLOW_HEADERS = [
    "accept",
    "authorization",
    "content-type",
    "idempotency-key",
    "if-match",
    "if-none-match",
    "x-request-id",
]
CORS_EXPOSE_HEADERS = [
    "Retry-After",
    "RateLimit",
    "RateLimit-Policy",
    "Location",
    "ETag",
    "X-Request-Id",
    "Idempotent-Replayed",
]

# Nobody by default; with DEBUG, this machine.
METRICS_TOKEN = env("METRICS_TOKEN")
METRICS_NETWORKS = env("METRICS_NETWORKS") or (["127.0.0.0/8", "::1"] if DEBUG else [])

# --- What every answer says to the browser ------------------------------------------------------

SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "no-referrer"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
SECURE_HSTS_SECONDS = 31_536_000
SECURE_HSTS_INCLUDE_SUBDOMAINS = True
SECURE_SSL_REDIRECT = False
SECURE_CSP = {
    "default-src": ["'none'"],
    "base-uri": ["'none'"],
    "form-action": ["'none'"],
    "frame-ancestors": ["'none'"],
}
# The admin and the reference are pages; they load their own assets and nothing from elsewhere.
PAGE_CSP = {
    "default-src": ["'self'"],
    "base-uri": ["'self'"],
    "form-action": ["'self'"],
    "frame-ancestors": ["'none'"],
    "img-src": ["'self'", "data:"],
    "object-src": ["'none'"],
    "script-src": ["'self'"],
    "script-src-attr": ["'none'"],
    "style-src": ["'self'", "'unsafe-inline'"],
}

# --- How much it takes --------------------------------------------------------------------------

BODY_MAX_BYTES = env("BODY_MAX_BYTES")
MEDIA_MAX_BYTES = env("MEDIA_MAX_BYTES")
# For so long a cursor of the feed of changes is good, and what is gone is remembered.
CHANGES_KEPT_DAYS = env("CHANGES_KEPT_DAYS")
IMPORT_MAX_BYTES = env("IMPORT_MAX_BYTES")
IMPORT_MAX_ROWS = env("IMPORT_MAX_ROWS")
MEDIA_MAX_PIXELS = env("MEDIA_MAX_PIXELS")
MEDIA_MAX_SIDE = env("MEDIA_MAX_SIDE")
# Each process: fewer than it has threads, so that reads always find one, however slow uploads are.
MEDIA_UPLOADS_AT_ONCE = env("MEDIA_UPLOADS_AT_ONCE")
MEDIA_DECODES_AT_ONCE = env("MEDIA_DECODES_AT_ONCE")
MEDIA_USER_MAX_BYTES = env("MEDIA_USER_MAX_BYTES")
# What Django itself reads is the admin's forms; the API's bodies are read by our own parsers.
DATA_UPLOAD_MAX_MEMORY_SIZE = BODY_MAX_BYTES
# An action on all the rows that one may touch (movieshelf.admin) names each, and a few things more.
DATA_UPLOAD_MAX_NUMBER_FIELDS = 10_100
DATA_UPLOAD_MAX_NUMBER_FILES = 10
FILE_UPLOAD_HANDLERS = ["media.uploads.AdminUploadHandler"]
# How often (movieshelf.api.ceilings): a number by second, minute, hour or day.
RATELIMIT_ENABLE = env("RATELIMIT_ENABLE")
RATELIMIT_REGISTER_IP = env("RATELIMIT_REGISTER_IP")
RATELIMIT_REGISTER_ACCOUNT = env("RATELIMIT_REGISTER_ACCOUNT")
RATELIMIT_LOGIN_IP = env("RATELIMIT_LOGIN_IP")
RATELIMIT_LOGIN_ACCOUNT = env("RATELIMIT_LOGIN_ACCOUNT")
RATELIMIT_PASSWORD_RESET_IP = env("RATELIMIT_PASSWORD_RESET_IP")
RATELIMIT_PASSWORD_RESET_ACCOUNT = env("RATELIMIT_PASSWORD_RESET_ACCOUNT")
RATELIMIT_REFRESH_IP = env("RATELIMIT_REFRESH_IP")
RATELIMIT_WRITES_USER = env("RATELIMIT_WRITES_USER")
RATELIMIT_UPLOADS_USER = env("RATELIMIT_UPLOADS_USER")
RATELIMIT_IMPORTS_USER = env("RATELIMIT_IMPORTS_USER")
RATELIMIT_USE_CACHE = "ceilings" if "ceilings" in CACHES else "default"
# A counter that expires between being found and being counted up is no reason to refuse.
RATELIMIT_FAIL_OPEN = True
# Each process keeps this much of what it answered (movieshelf.hot_answers); 0 keeps nothing.
HOT_ANSWERS_MAX_BYTES = env("HOT_ANSWERS_MAX_BYTES")
RANK_MAX_AGE_SECONDS = env("RANK_MAX_AGE_SECONDS")

# --- How it answers -----------------------------------------------------------------------------

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["accounts.authentication.SessionTokenAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticatedOrReadOnly"],
    "DEFAULT_PARSER_CLASSES": ["movieshelf.api.parsing.StrictJSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["movieshelf.api.rendering.ORJSONRenderer"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "movieshelf.api.negotiation.StrictNegotiation",
    "DEFAULT_SCHEMA_CLASS": "movieshelf.api.schema.MovieShelfSchema",
    "EXCEPTION_HANDLER": "movieshelf.api.errors.exception_handler",
    "URL_FORMAT_OVERRIDE": None,
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "MovieShelf",
    "VERSION": __version__,
    "DESCRIPTION": "The backend of a community film shelf. The guides at `/docs` come first: a"
    " first session, logins in a browser, errors, lists, conditional requests, retries, images.",
    "CONTACT": {"name": "The founders of MovieShelf"},
    "LICENSE": {"name": "MIT", "identifier": "MIT"},
    "OAS_VERSION": "3.1.1",
    # Where it is served from; relative, so that it holds behind any name.
    "SERVERS": [{"url": "/", "description": "The server that serves this document."}],
    "SERVE_INCLUDE_SCHEMA": False,
    "SCHEMA_PATH_PREFIX": "",
    "COMPONENT_SPLIT_REQUEST": True,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SERVE_AUTHENTICATION": [],
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    "ENUM_SUFFIX": "",
    "ENUM_NAME_OVERRIDES": {
        "ChangeKind": "changes.serializers.CHANGES",
        "ChangedType": "changes.feed.TYPES",
        "ImportFormat": "imports.reading.NAMES",
        "ImportStatus": "imports.models.Import.Status",
        "RowOutcome": "imports.models.Row.Outcome",
        "UserRole": "accounts.models.User.Role",
    },
    "GET_LIB_DOC_EXCLUDES": "movieshelf.api.schema.undescribing_classes",
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "media.schema.add_images",
        "moderation.schema.add_redirects",
        "movieshelf.reference.document.finish",
    ],
}

# --- Whom it writes to --------------------------------------------------------------------------

DEFAULT_FROM_EMAIL = env("DEFAULT_FROM_EMAIL")
# The front-end's page that takes the token of a reset mail.
PASSWORD_RESET_URL = env("PASSWORD_RESET_URL")
EMAIL_TIMEOUT = 10
if env("EMAIL_URL"):
    vars().update(env.email_url("EMAIL_URL"))
elif DEBUG:
    EMAIL_BACKEND = "django.core.mail.backends.console.EmailBackend"
else:
    # A reset link has no place in the logs of production, which is where a console ends.
    EMAIL_BACKEND = "accounts.mails.NowhereBackend"

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"()": "movieshelf.logs.formatter", "readable": DEBUG}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": env("LOG_LEVEL")},
    "loggers": {
        # 4xx answers are the caller's business; Django would log each as a warning.
        "django.request": {"level": "ERROR"},
        "django.security.DisallowedHost": {"level": "CRITICAL"},
        # At INFO it tells of each job at every start, and of what each job is given.
        "procrastinate": {"level": "WARNING"},
    },
}
# A statement that takes longer is told of in the log.
SLOW_QUERY_MS = env("SLOW_QUERY_MS")

if not DEBUG and not TESTING:
    checks.refuse_unsafe(vars())
