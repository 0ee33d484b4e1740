"""What this project writes down: its log, in lines or as JSON, and error pages without secrets."""

import json
import logging
import os
import re
from datetime import UTC, datetime
from typing import Any

from django.views.debug import SafeExceptionReporterFilter

FIELDS = ("worker", "stream", "channels", "user", "client", "request_id")
"""What a line may carry (`extra=`) beside its text. Nothing else that a record carries is written."""


class JsonFormatter(logging.Formatter):
    """One JSON object a line, in ASCII: what every line has, FIELDS where they are known, a traceback.

    `worker` is the number that the parent of the workers gave this process.
    """

    def __init__(self) -> None:
        super().__init__()
        number = os.environ.get("HUB_WORKER", "")
        self._own = {"worker": int(number)} if re.fullmatch("[0-9]{1,3}", number) else {}

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "process": record.process,
            **self._own,
        }
        entry |= {name: value for name in FIELDS if (value := getattr(record, name, None))}
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)
        return json.dumps(entry, default=str)


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
