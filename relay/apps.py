"""The Django application."""

from django.apps import AppConfig


class RelayConfig(AppConfig):
    name = "relay"

    def ready(self) -> None:
        from relay import checks  # noqa: F401  (checks register themselves)
        from relay.control import signals

        signals.connect()
