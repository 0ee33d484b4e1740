"""The entries of RELAY_CHANNELS, as a dictionary or in their short form."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from relay.conf.catalogue import SOURCES

Entry = Mapping[str, Any]

RULES = ("public", "signed-in", "owner")


class InvalidEntry(ValueError):
    """The text names the entry, and what of it cannot be used."""


def parse_channels(value: Any) -> tuple[tuple[str, Entry], ...]:
    """The entries of RELAY_CHANNELS: a mapping, or the short form `name[=rule[+stream]] …`.

    Raises InvalidEntry for an entry that cannot be used, ValueError, TypeError or AttributeError for
    a value that is neither form.
    """
    if isinstance(value, str):
        value = dict(_short_form(value))
    entries = tuple((name, _entry(name, entry)) for name, entry in value.items())
    for name, entry in entries:
        for key, setting in entry.items():
            _check(name, key, setting)
    return entries


def is_rule(value: Any) -> bool:
    """Whether `value` can be an access rule; what it names is looked up later."""
    if callable(value) or is_path(value) or value in RULES:
        return True
    return isinstance(value, str) and bool(re.fullmatch(r"perm:\w+\.\w+", value, re.ASCII))


def is_path(value: Any) -> bool:
    """Whether a rule is the dotted path of a function."""
    return isinstance(value, str) and bool(re.fullmatch(r"[A-Za-z_]\w*(\.\w+)+", value, re.ASCII))


def _short_form(text: str) -> Iterator[tuple[str, Entry]]:
    seen = set()
    for word in text.replace(",", " ").split():
        name, equals, rule = word.partition("=")
        if name in seen:
            raise InvalidEntry(f"{name!r} is there twice")
        seen.add(name)
        rule, plus, source = rule.partition("+")
        stored = {"source": source} if plus else {}
        yield name, {"access": rule if equals else "public", **stored}


def _entry(name: Any, entry: Any) -> Entry:
    if not isinstance(name, str):
        raise InvalidEntry(f"{name!r} is no channel name or pattern")
    if not isinstance(entry, Mapping):
        raise InvalidEntry(f"the entry of {name!r} is no dictionary: {entry!r}")
    return {"access": "signed-in", **entry}


def _check(name: str, key: Any, setting: Any) -> None:
    valid = _KEYS.get(key)
    if valid is None:
        raise InvalidEntry(f"{key!r} of {name!r} is no key of an entry{_suggest(key, _KEYS)}")
    if not valid(setting):
        known = _WORDS.get(key)
        close = _suggest(setting, known) if known else ""
        raise InvalidEntry(f"{key} of {name!r} is not valid: {setting!r}{close}")


def _suggest(word: Any, known: Any) -> str:
    close = get_close_matches(str(word), known, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def _is_wildcard_rule(value: Any) -> bool:
    return value is None or is_rule(value)


def _is_size(value: Any) -> bool:
    return type(value) is int and value >= 0


def _is_duration(value: Any) -> bool:
    return type(value) in (int, float) and value >= 0


def _is_event_size(value: Any) -> bool:
    return type(value) is int and value >= 256


def _is_source(value: Any) -> bool:
    return value in SOURCES


def _is_flag(value: Any) -> bool:
    return type(value) is bool


_KEYS: Mapping[str, Callable[[Any], bool]] = {
    "access": is_rule,
    "wildcard": _is_wildcard_rule,
    "history_size": _is_size,
    "history_seconds": _is_duration,
    "event_bytes": _is_event_size,
    "envelope": _is_flag,
    "always": _is_flag,
    "source": _is_source,
}
_WORDS: Mapping[Any, Sequence[str]] = {"access": RULES, "source": SOURCES}
"""What a value may have meant that is not valid."""
