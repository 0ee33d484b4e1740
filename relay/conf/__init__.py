"""What the operator said, valid: the settings and the channels."""

from relay.conf.settings import (
    DEFAULTS,
    FLAGS,
    NAMES,
    SECRETS,
    Problem,
    Settings,
    load,
    load_catalogue,
    problems,
    unknown_names,
)

__all__ = [
    "DEFAULTS",
    "FLAGS",
    "NAMES",
    "SECRETS",
    "Problem",
    "Settings",
    "load",
    "load_catalogue",
    "problems",
    "unknown_names",
]
