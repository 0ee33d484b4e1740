"""Which channels there are: exact names and patterns, each with its bounds and its access rule.

A client names channels, and only what matches an entry here ever reaches Redis.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

Rule = str | Callable[..., Any]
"""`public`, `signed-in`, `owner`, `perm:app.codename`, or a callable (user, channel, scope) -> bool."""

MAX_NAME_BYTES = 255
RESERVED = ("__keyspace@", "__keyevent@", "__sentinel__", "asgi")
"""Beginnings of names that are Redis' own or a channel layer's."""

_NAME = re.compile(r"[\w.:/@~!$',;()-]+")
_PATTERN = re.compile(r"(?:[\w.:/@~!$',;()-]+|\*|\{[a-z_][a-z0-9_]*\})+")
_WILD = re.compile(r"\*|\{([a-z_][a-z0-9_]*)\}")


@dataclass(frozen=True, slots=True)
class Spec:
    """One entry. `pattern` may hold `*` (any text) and `{field}` (text without a separator)."""

    pattern: str
    access: Rule
    history_size: int
    history_seconds: float
    event_bytes: int
    wildcard: Rule | None = None
    """Who may subscribe to the pattern itself; None: nobody."""
    envelope: bool = False
    """Messages may be the JSON envelope of docs/protocol.md, or CloudEvents."""
    always: bool = False
    """Subscribed and logged from the start, whether or not anybody listens."""
    ring_bytes: int | None = None
    """The bound of its ring; None: RELAY_RING_BYTES."""
    regex: re.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "regex", _regex(self.pattern))

    @property
    def is_pattern(self) -> bool:
        return _WILD.search(self.pattern) is not None

    @property
    def head(self) -> str:
        """The text before the first wildcard or field."""
        return _WILD.split(self.pattern)[0]

    @property
    def sample(self) -> str:
        """A name that fits."""
        return _WILD.sub("any", self.pattern)

    @property
    def history(self) -> bool:
        """Whether there is a log at all."""
        return self.history_size > 0 and self.history_seconds > 0


@dataclass(frozen=True, slots=True)
class Target:
    """A channel that a client may ask for, if the rule of its entry lets it.

    `name` is what is subscribed to: a channel, or with `is_wildcard` a Redis pattern.
    """

    name: str
    spec: Spec
    fields: Mapping[str, str]
    is_wildcard: bool = False
    hidden_from: Sequence[str] = ()
    """Patterns of the catalogue that match the name, while another entry has the say over it."""

    @property
    def rule(self) -> Rule | None:
        return self.spec.wildcard if self.is_wildcard else self.spec.access


def is_name(value: str) -> bool:
    """Whether a channel can have this name: letters, digits and some punctuation, up to 255 bytes."""
    return bool(_NAME.fullmatch(value)) and len(value.encode()) <= MAX_NAME_BYTES


OPERATOR = "operator"
"""The rule of the operator's channel. No entry can have it."""

REPORT_BYTES = 64 * 1024
"""The longest report on the operator's channel."""

OPERATOR_RING_BYTES = 64 * REPORT_BYTES


def operator_target(prefix: str) -> Target:
    """Returns the channel on which the processes report to operators. No client can name it otherwise.

    An event has a line end and a field name more than a report.
    """
    name = f"{prefix}:ops"
    bounds = {"history_size": 0, "history_seconds": 0.0, "ring_bytes": OPERATOR_RING_BYTES}
    spec = Spec(name, OPERATOR, event_bytes=2 * REPORT_BYTES, **bounds)  # type: ignore[arg-type]
    return Target(name, spec, {})


class Catalogue:
    """Raises ValueError for an entry that cannot be served."""

    def __init__(self, specs: Iterable[Spec], prefix: str) -> None:
        self.operators = operator_target(prefix)
        """Not among `specs`, and not found by `find`."""
        self._reserved = (*RESERVED, f"{prefix}:")
        self._exact: dict[str, Spec] = {}
        self._patterns: dict[str, Spec] = {}
        for spec in specs:
            self._check(spec)
            (self._patterns if spec.is_pattern else self._exact)[spec.pattern] = spec

    @property
    def specs(self) -> list[Spec]:
        """All entries."""
        return [*self._exact.values(), *self._patterns.values()]

    @property
    def always(self) -> list[Target]:
        """The channels to subscribe to from the start."""
        return [Target(spec.pattern, spec, {}) for spec in self._exact.values() if spec.always]

    @cached_property
    def named(self) -> Sequence[Target]:
        """The channels with exact names."""
        return [self._found(name, spec, {}) for name, spec in self._exact.items()]

    @cached_property
    def wildcards(self) -> Sequence[Target]:
        """The patterns that somebody may subscribe to."""
        found = (self.find(name) for name in self._patterns)
        return [target for target in found if target is not None]

    def find(self, name: str) -> Target | None:
        """What the catalogue has under a name that a client sent; None for anything else."""
        spec = self._exact.get(name)
        if spec is not None:
            return self._found(name, spec, {})
        spec = self._patterns.get(name)
        if spec is not None:
            wild = spec.wildcard is not None and "{" not in name
            return Target(name, spec, {}, is_wildcard=True) if wild else None
        if not is_name(name) or name.startswith(self._reserved):
            return None
        for spec in self._patterns.values():
            match = spec.regex.fullmatch(name)
            if match:
                return self._found(name, spec, match.groupdict())
        return None

    def withholds(self, wildcard: str, name: str) -> bool:
        """Whether a message on the channel `name` is not for those who subscribed to `wildcard`.

        Redis only matches names; here one entry has the say over a channel, as in `find`.
        """
        fitting = (spec for spec in self._patterns.values() if spec.regex.fullmatch(name))
        spec = self._exact.get(name) or next(fitting, None)
        return spec is not None and spec.pattern != wildcard

    def _found(self, name: str, spec: Spec, fields: Mapping[str, str]) -> Target:
        others = (s for s in self._patterns.values() if s is not spec and s.regex.fullmatch(name))
        return Target(name, spec, fields, hidden_from=tuple(s.pattern for s in others))

    def _check(self, spec: Spec) -> None:
        name = spec.pattern
        if not _PATTERN.fullmatch(name) or len(name.encode()) > MAX_NAME_BYTES:
            raise ValueError(f"{name!r} is no channel name or pattern")
        literal = _WILD.split(name)[0]
        if any(
            literal.startswith(r) or (spec.is_pattern and r.startswith(literal))
            for r in self._reserved
        ):
            raise ValueError(f"{name!r} would reach channels that are not messages")
        if "owner" in (spec.access, spec.wildcard) and "{user_id}" not in name:
            raise ValueError(f"{name!r} has no {{user_id}}, by which its owner is known")
        if spec.always and spec.is_pattern:
            raise ValueError(f"{name!r} is a pattern; only an exact name can be kept always")


def _regex(pattern: str) -> re.Pattern[str]:
    text, end = "", 0
    for match in _WILD.finditer(pattern):
        text += re.escape(pattern[end : match.start()])
        text += f"(?P<{match[1]}>[^.:/]+)" if match[1] else ".*"
        end = match.end()
    fields = [match[1] for match in _WILD.finditer(pattern) if match[1]]
    if len(set(fields)) < len(fields):
        raise ValueError(f"{pattern!r} has a field twice")
    return re.compile(text + re.escape(pattern[end:]), re.DOTALL)
