"""All names that the hub uses in Redis, of keys and of channels.

docs/operations.md lists them, and its rights cover each one (tests/broker/test_keys.py).
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Keys:
    """The names of one channel. In a cluster the hash tag keeps them on the channel's own node."""

    prefix: str
    counter: str
    history: str
    _tagged: str

    @classmethod
    def of(cls, prefix: str, channel: str) -> "Keys":
        tagged = f"{prefix}:{{{channel}}}"
        return cls(prefix, f"{tagged}:epoch", f"{tagged}:log", tagged)

    def marker(self, node: str) -> str:
        """The channel of the markers of one master; `node` is its id in a cluster, else empty.

        Two nodes of a cluster have two orders of the same messages, so no session may count by the
        markers of another node.
        """
        return f"{self._tagged}:marker" + (f":{node}" if node else "")

    def once(self, digest: str) -> str:
        """Where the result of one publishing request is kept."""
        return f"{self._tagged}:once:{digest}"


@dataclass(frozen=True, slots=True)
class HubKeys:
    """The names that belong to no single channel.

    Those of kicks, processes, reports and presence share a hash tag, because scripts use them together.
    """

    prefix: str

    @property
    def kicks(self) -> str:
        """A sorted set of kicks, by the time at which each was noted."""
        return f"{self.prefix}:{{control}}:kicks"

    @property
    def processes(self) -> str:
        """A sorted set of the hub processes, by the time at which each expires."""
        return f"{self.prefix}:{{control}}:processes"

    @property
    def reports(self) -> str:
        """How the name of the report of one process begins; the id of the process follows."""
        return f"{self.prefix}:{{control}}:report:"

    @property
    def presence(self) -> str:
        """How the name of the presence of one process begins; the id of the process follows."""
        return f"{self.prefix}:{{control}}:presence:"

    def seats(self, digest: str) -> str:
        """How many streams one user or address has, for each process."""
        return f"{self.prefix}:{{control}}:seats:{digest}"

    def link(self, digest: str) -> str:
        """A link to the operator's page that was not used yet."""
        return f"{self.prefix}:{{control}}:link:{digest}"

    @property
    def control(self) -> str:
        """The channel on which all hub processes are told to look for kicks, and that somebody watches."""
        return f"{self.prefix}:control"

    @property
    def group(self) -> str:
        """The group of the channel layer with the same purpose; its name must not have a colon."""
        return f"{self.prefix.replace(':', '.')}.control"

    def probe(self, connection: str) -> str:
        """The channel on which one connection sends messages to itself."""
        return f"{self.prefix}:probe:{connection}"

    def rate(self, digest: str) -> str:
        """The bucket that bounds how fast one subject publishes."""
        return f"{self.prefix}:rate:{digest}"
