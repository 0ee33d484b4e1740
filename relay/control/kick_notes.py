"""The list of kicks in Redis."""

from collections.abc import Sequence
from dataclasses import dataclass

from relay.broker.commands import Commands
from relay.broker.keys import HubKeys
from relay.broker.sync import run_script_sync
from relay.control.kick import Kick

KEEP_SECONDS = 3600.0
"""How long a kick stays in the list, for processes that have lost Redis meanwhile."""


@dataclass(frozen=True, slots=True)
class Noted:
    """An entry of the list of kicks, and the time of the entry by the clock of Redis."""

    entry: bytes
    ms: float


def note(url: str, keys: HubKeys, kick: Kick) -> tuple[int, str]:
    """Does what KickNotes.note does, for code without an event loop. Raises RedisUnavailable."""
    number, refusal = run_script_sync(url, "kick_note", *_words(keys, kick))
    return int(number), refusal.decode()


def _words(keys: HubKeys, kick: Kick) -> tuple[Sequence[str], Sequence[str | int]]:
    """Returns the keys and the arguments of kick_note.lua."""
    names = [keys.kicks, keys.processes]
    return names, [kick.encode(), round(KEEP_SECONDS * 1000), keys.control]


class KickNotes:
    """Writes and reads the list. Both methods raise RedisUnavailable."""

    def __init__(self, commands: Commands, keys: HubKeys) -> None:
        self._commands = commands
        self._keys = keys

    async def note(self, kick: Kick) -> tuple[int, str]:
        """Adds a kick to the list and notifies all hub processes.

        Returns the number of processes, and why Redis refused to notify them ("" if it did not).
        """
        number, refusal = await self._commands.script("kick_note", *_words(self._keys, kick))
        return int(number), refusal.decode()

    async def look(self, since_ms: int) -> tuple[int, Sequence[Noted]]:
        """Returns the current time and the kicks since `since_ms`, both by the clock of Redis."""
        now_ms, found = await self._commands.script("kick_look", [self._keys.kicks], [since_ms])
        pairs = zip(found[::2], map(float, found[1::2]), strict=True)
        return int(now_ms), [Noted(*pair) for pair in pairs]
