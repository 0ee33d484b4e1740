"""What the operator said, valid: the settings and the channels."""

from relay.conf.loading import (
    Invalid,
    find_invalid,
    find_setting,
    load,
    load_catalogue,
    unknown_names,
)
from relay.conf.parsers import FLAGS
from relay.conf.settings import Settings
from relay.conf.table import DEFAULTS, NAMES, SECRETS

__all__ = [
    "DEFAULTS",
    "FLAGS",
    "NAMES",
    "SECRETS",
    "Invalid",
    "Settings",
    "find_invalid",
    "find_setting",
    "load",
    "load_catalogue",
    "unknown_names",
]
