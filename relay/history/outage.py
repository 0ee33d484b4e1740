"""Tells the operator that the history cannot be written."""

from relay.broker.outage import Outage


def history_outage() -> Outage:
    """One for all journals of a process: the line says so once, however many channels there are."""
    return Outage(
        "The history cannot be written: %s. Live messages go on; a client that comes back may be told"
        " of a gap.",
        "The history is written again.",
    )
