"""`manage.py check`: every setting, by id and with a hint."""

from difflib import get_close_matches
from typing import Any

from django.core.checks import CheckMessage, Error, Warning, register

from relay import conf


@register()
def check_settings(app_configs: object, **kwargs: Any) -> list[CheckMessage]:
    found: list[CheckMessage] = [
        Error(problem.text, hint=problem.hint, id=f"relay.E{problem.number:03}")
        for problem in conf.problems()
    ]
    for name in conf.unknown_names():
        close = get_close_matches(name, conf.NAMES, n=1)
        hint = (
            f"Did you mean {close[0]}?" if close else "docs/settings.md lists all that there are."
        )
        found.append(Warning(f"{name} is not a setting of the hub.", hint=hint, id="relay.W001"))
    return found
