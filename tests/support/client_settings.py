"""The hub's settings with the catalogue that the tests of the clients read."""

from hub.settings import *  # noqa: F403

RELAY_CHANNELS = {
    "news": {"access": "public"},
    "orders.*": {"access": "public", "wildcard": "public"},
    "private.*": {"access": "signed-in"},
    "named": {"access": "public", "envelope": True},
    "small": {"access": "public", "event_bytes": 300},
}
