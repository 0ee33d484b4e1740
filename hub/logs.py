"""What this project writes down: its log, in lines or as JSON, and error pages without secrets."""

import json
import logging
import re
from datetime import UTC, datetime
from typing import Any

from django.views.debug import SafeExceptionReporterFilter


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, and the traceback of an error."""

    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False)


class SecretFilter(SafeExceptionReporterFilter):
    """Hides addresses that may hold a password, too, on the error pages of DEBUG."""

    hidden_settings = re.compile(
        "API|AUTH|TOKEN|KEY|SECRET|PASS|SIGNATURE|HTTP_COOKIE|REDIS_URL|DATABASE_URL|^hosts$",
        re.IGNORECASE,
    )


def is_failure(record: logging.LogRecord) -> bool:
    """Whether a line is about a failure. An answer 503 says that Redis is away, which has its own line."""
    return getattr(record, "status_code", 0) != 503


def configure_logging(level: str, *, as_json: bool) -> dict[str, Any]:
    """Returns the setting LOGGING: what the hub writes from `level` on, and Django's errors."""
    handler = {
        "class": "logging.StreamHandler",
        "formatter": "json" if as_json else "line",
    }
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"failures": {"()": "django.utils.log.CallbackFilter", "callback": is_failure}},
        "formatters": {
            "line": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"},
            "json": {"()": JsonFormatter},
        },
        "handlers": {
            "stderr": handler,
            "failures": {**handler, "filters": ["failures"]},
            "nowhere": {"class": "logging.NullHandler"},
        },
        "loggers": {
            "relay": {"handlers": ["stderr"], "level": level, "propagate": False},
            # Without DEBUG Django would send its errors by mail alone.
            "django": {"handlers": ["failures"], "level": "ERROR", "propagate": False},
            # Anybody can name a host: a traceback for each would hide what matters.
            "django.security.DisallowedHost": {"handlers": ["nowhere"], "propagate": False},
        },
    }
