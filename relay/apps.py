"""The Django application."""

from django.apps import AppConfig


class RelayConfig(AppConfig):
    name = "relay"

    def ready(self) -> None:
        from relay import checks, signals  # noqa: F401  (checks register themselves)

        signals.connect()
