"""The hub's settings with a pattern that clients may subscribe to."""

from hub.settings import *  # noqa: F403

RELAY_CHANNELS = {"orders.*": {"access": "public", "wildcard": "public"}}
