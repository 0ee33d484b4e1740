"""Settings of the Django project, all from the environment (docs/settings.md)."""

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import environ
from django.core.exceptions import ImproperlyConfigured

from hub.logs import configure_logging
from relay.conf import DEFAULTS, FLAGS, NAMES

BASE_DIR = Path(__file__).resolve().parent.parent

env = environ.Env()


def flag(name: str) -> bool:
    try:
        return FLAGS[os.environ.get(name, "").lower() or "0"]
    except KeyError:
        text = f"{name} is not valid: {os.environ[name]!r}. Use 1 or 0."
        raise ImproperlyConfigured(text) from None


def words(name: str) -> list[str]:
    """The words of a variable, separated by commas or spaces."""
    return os.environ.get(name, "").replace(",", " ").split()


DEBUG = flag("DEBUG")

SECRET_KEY = os.environ.get("SECRET_KEY", "")  # as it is: environ takes a leading $ for a reference
if not SECRET_KEY and DEBUG:
    SECRET_KEY = "insecure, for DEBUG only"  # noqa: S105
if not SECRET_KEY:
    raise ImproperlyConfigured(
        "SECRET_KEY is not set. Set it to a long random text (`make run` makes one for itself),"
        " or set DEBUG=1 for development."
    )

ALLOWED_HOSTS = words("ALLOWED_HOSTS") or ["localhost", "127.0.0.1", "[::1]"]

# The hub's own settings are taken over as they are; relay/conf/ reads and validates them. An empty
# variable is one that is not set: that is what `REDIS_URL= make run` and Compose's `${NAME:-}` mean.
globals().update(
    {
        name: value
        for name, value in os.environ.items()
        if value and (name in NAMES or name.startswith("RELAY_"))
    }
)

INSTALLED_APPS = [
    "daphne",  # before staticfiles: it makes `runserver` serve the ASGI application
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "csp",
    "relay",
    "hub",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "hub.static_files.StaticFilesMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django.middleware.common.CommonMiddleware",
]

ROOT_URLCONF = "hub.urls"
ASGI_APPLICATION = "hub.asgi.application"
USE_TZ = True
TIME_ZONE = "UTC"

TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}]

STATIC_URL = "/static/"
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = DEBUG
WHITENOISE_MAX_AGE = 0  # revalidated each time: modules of two versions must not mix

# Only channels that are not public, and what signs people in, ever ask the database.
DATABASES = {"default": env.db("DATABASE_URL", default=f"sqlite:///{BASE_DIR / 'db.sqlite3'}")}
if "postgresql" in DATABASES["default"]["ENGINE"] and find_spec("psycopg") is None:
    raise ImproperlyConfigured(
        "DATABASE_URL needs the driver of PostgreSQL. Run: pip install 'relay-hub[postgres]'."
    )
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = flag("SECURE_COOKIES")
if SESSION_COOKIE_SECURE:  # then everybody comes by HTTPS, through a proxy that says so
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
CSRF_FAILURE_VIEW = "relay.http.refusal.csrf_failure"
CSRF_TRUSTED_ORIGINS = words("CSRF_TRUSTED_ORIGINS")

_redis = os.environ.get("REDIS_URL") or DEFAULTS["REDIS_URL"]
CHANNEL_LAYERS: dict[str, Any] = {}
if "+" not in _redis.partition("://")[0]:  # channels_redis reads no other URLs; kicks need no layer
    CHANNEL_LAYERS["default"] = {
        "BACKEND": "channels_redis.core.RedisChannelLayer",
        "CONFIG": {"hosts": [_redis]},
    }

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'self'"],
        "base-uri": ["'none'"],
        "form-action": ["'self'"],
        "frame-ancestors": ["'none'"],
        "object-src": ["'none'"],
    }
}
X_FRAME_OPTIONS = "DENY"

LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
LOG_LEVEL = os.environ.get("LOG_LEVEL", "").upper() or "INFO"
if LOG_LEVEL not in LOG_LEVELS:
    raise ImproperlyConfigured(
        f"LOG_LEVEL is not valid: {LOG_LEVEL!r}. Use one of {', '.join(LOG_LEVELS)}."
    )
LOGGING = configure_logging(LOG_LEVEL, as_json=flag("LOG_JSON"))
DEFAULT_EXCEPTION_REPORTER_FILTER = "hub.logs.SecretFilter"
