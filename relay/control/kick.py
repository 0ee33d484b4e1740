"""A kick: the value that says which streams end."""

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Protocol

SIGN_OUT = "-sign-out"
"""How the first word of such an entry ends."""


_STREAM = re.compile("[0-9a-f]{1,64}")


class HasUser(Protocol):
    @property
    def user(self) -> str: ...


class OpenStream(Protocol):
    """The attributes of an open stream that a kick uses."""

    @property
    def id(self) -> str: ...

    @property
    def names(self) -> Sequence[str]: ...

    @property
    def owner(self) -> HasUser: ...


@dataclass(frozen=True, slots=True)
class Kick:
    """Ends the streams of a user (an id, or the subject of a token), of a channel, one stream, or all."""

    user: str = ""
    channel: str = ""
    by_sign_out: bool = False
    """Then it holds for longer, because the session may end a while later."""
    stream: str = ""
    """The id of one stream, as the log and the operator's page name it."""

    @classmethod
    def of(
        cls, user: str | None, channel: str | None, everybody: bool, stream: str | None = None
    ) -> "Kick":
        """Returns the kick. Raises ValueError unless exactly one argument is given."""
        given = [value for value in (user, channel, stream) if value is not None]
        if len(given) + bool(everybody) != 1:
            raise ValueError("Name exactly one to kick: a user, a channel, a stream, or all.")
        if not all(isinstance(value, str) and value for value in given):
            raise ValueError(f"{given[0]!r} cannot be kicked. Use the id or the name, as text.")
        if stream is not None and not _STREAM.fullmatch(stream):
            raise ValueError(f"{stream!r} is no id of a stream. Use it as the log names it.")
        return cls(user or "", channel or "", stream=stream or "")

    @classmethod
    def decode(cls, entry: bytes) -> "Kick | None":
        """Returns the kick; None for an entry of an unknown form, which another version may write."""
        mark, _, text = entry.decode(errors="replace").partition(" ")
        kind, _, name = text.partition(" ")
        by_sign_out = mark.endswith(SIGN_OUT)
        if kind == "all":
            return cls(by_sign_out=by_sign_out)
        if not name:
            return None
        match kind:
            case "user":
                return cls(name, by_sign_out=by_sign_out)
            case "channel":
                return cls(channel=name, by_sign_out=by_sign_out)
            case "stream":
                return cls(stream=name, by_sign_out=by_sign_out)
        return None

    def encode(self) -> str:
        """Returns an entry for Redis, unique by a random id. Other versions ignore its first word."""
        mark = SIGN_OUT if self.by_sign_out else ""
        return (
            f"{secrets.token_hex(8)}{mark} {self.kind} {self.user or self.channel or self.stream}"
        )

    @property
    def kind(self) -> str:
        """What it ends: `user`, `channel`, `stream` or `all`."""
        if self.user:
            return "user"
        if self.channel:
            return "channel"
        return "stream" if self.stream else "all"

    def covers(self, stream: OpenStream) -> bool:
        """Whether the kick ends the stream. A stream of a pattern has every channel that matches."""
        if self.user:
            return stream.owner.user == self.user
        if self.channel:
            return any(_includes(name, self.channel) for name in stream.names)
        return stream.id == self.stream if self.stream else True


def _includes(name: str, channel: str) -> bool:
    return name == channel or ("*" in name and fnmatchcase(channel, name))
