"""The hub's settings for a site below a path."""

from hub.settings import *  # noqa: F403

FORCE_SCRIPT_NAME = "/shop"
STATIC_URL = "static/"
RELAY_STREAM_PATH = "live/stream/"
