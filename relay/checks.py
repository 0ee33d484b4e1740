"""`manage.py check`: every setting, by id and with a hint."""

from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any

from django.core.checks import CheckMessage, Error, Warning, register
from django.utils.module_loading import import_string

from relay import conf
from relay.conf.catalogue import is_path


@register()
def check_settings(app_configs: object, **kwargs: Any) -> list[CheckMessage]:
    found: list[CheckMessage] = [
        Error(problem.text, hint=problem.hint, id=f"relay.E{problem.number:03}")
        for problem in conf.problems()
    ]
    if not found:
        found += _missing_rules()
    for name in conf.unknown_names():
        close = get_close_matches(name, conf.NAMES, n=1)
        hint = (
            f"Did you mean {close[0]}?" if close else "docs/settings.md lists all that there are."
        )
        found.append(Warning(f"{name} is not a setting of the hub.", hint=hint, id="relay.W001"))
    return found


def _missing_rules() -> Iterator[CheckMessage]:
    """Access rules that name a function which is not there."""
    number = conf.NAMES.index("RELAY_CHANNELS") + 1
    for name, entry in conf.load().channels:
        for rule in filter(is_path, (entry.get("access"), entry.get("wildcard"))):
            try:
                import_string(str(rule))
            except ImportError as error:
                text = f"RELAY_CHANNELS is not valid: the rule of {name!r} is not there: {error}."
                hint = "Name a function as package.module.function."
                yield Error(text, hint=hint, id=f"relay.E{number:03}")
