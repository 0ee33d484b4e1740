"""A kick: the value that says which streams end."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Protocol

SIGN_OUT = "-sign-out"
"""How the first word of such an entry ends."""


class HasUser(Protocol):
    @property
    def user(self) -> str: ...


class OpenStream(Protocol):
    """The attributes of an open stream that a kick uses."""

    @property
    def names(self) -> Sequence[str]: ...

    @property
    def owner(self) -> HasUser: ...


@dataclass(frozen=True, slots=True)
class Kick:
    """Ends the streams of a user (an id, or the subject of a token), of a channel, or all streams."""

    user: str = ""
    channel: str = ""
    by_sign_out: bool = False
    """Then it holds for longer, because the session may end a while later."""

    @classmethod
    def of(cls, user: str | None, channel: str | None, everybody: bool) -> "Kick":
        """Returns the kick. Raises ValueError unless exactly one argument is given."""
        given = [value for value in (user, channel) if value is not None]
        if len(given) + bool(everybody) != 1:
            raise ValueError("Name exactly one to kick: a user, a channel, or all.")
        if not all(isinstance(value, str) and value for value in given):
            raise ValueError(f"{given[0]!r} cannot be kicked. Use the id or the name, as text.")
        return cls(user or "", channel or "")

    @classmethod
    def decode(cls, entry: bytes) -> "Kick | None":
        """Returns the kick; None for an entry of an unknown form, which another version may write."""
        mark, _, text = entry.decode(errors="replace").partition(" ")
        kind, _, name = text.partition(" ")
        by_sign_out = mark.endswith(SIGN_OUT)
        if kind == "all":
            return cls(by_sign_out=by_sign_out)
        if not name or kind not in {"user", "channel"}:
            return None
        if kind == "user":
            return cls(name, by_sign_out=by_sign_out)
        return cls(channel=name, by_sign_out=by_sign_out)

    def encode(self) -> str:
        """Returns an entry for Redis, unique by a random id, which other versions ignore."""
        mark = SIGN_OUT if self.by_sign_out else ""
        kind = "user" if self.user else "channel" if self.channel else "all"
        return f"{secrets.token_hex(8)}{mark} {kind} {self.user or self.channel}"

    def covers(self, stream: OpenStream) -> bool:
        """Whether the kick ends the stream. A stream of a pattern has every channel that matches."""
        if self.user:
            return stream.owner.user == self.user
        if self.channel:
            return any(_includes(name, self.channel) for name in stream.names)
        return True


def _includes(name: str, channel: str) -> bool:
    return name == channel or ("*" in name and fnmatchcase(channel, name))
