"""The names of one channel in Redis."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Keys:
    """In a cluster the hash tag keeps all of them on the channel's own node."""

    prefix: str
    counter: str
    log: str
    marker: str

    @classmethod
    def of(cls, prefix: str, channel: str) -> "Keys":
        place = f"{prefix}:{{{channel}}}"
        return cls(prefix, f"{place}:epoch", f"{place}:log", f"{place}:marker")
