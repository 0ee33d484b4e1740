"""Whether this process is subscribed to Redis."""


class Link:
    """What the listener knows and others ask: it is live between `restored` and `lost`."""

    def __init__(self) -> None:
        self._live = False

    @property
    def live(self) -> bool:
        """Whether what is published reaches this process now, as far as it can know."""
        return self._live

    def restored(self) -> None:
        self._live = True

    def lost(self) -> None:
        self._live = False
