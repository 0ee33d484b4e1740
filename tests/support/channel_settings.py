"""The hub's settings with a catalogue that the environment's short form cannot say."""

from hub.settings import *  # noqa: F403

RELAY_CHANNELS = {
    "a": {"access": "public"},
    "b": {"access": "public"},
    "kept": {"access": "public", "always": True},
    "named": {"access": "public", "envelope": True},
    "orders.*": {"access": "public", "wildcard": "public"},
    "orders.secret": {"access": "signed-in", "envelope": True},
    "closed.*": {"access": "public"},
}
