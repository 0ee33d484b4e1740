"""Reports to the operator that the history cannot be written."""

from relay.broker.outage import Outage


def history_outage() -> Outage:
    """Returns the outage that all journals of a process share: it is logged once for all channels."""
    return Outage(
        "The history cannot be written: %s. Live messages go on; a client that comes back may get"
        " a gap.",
        "The history is written again.",
    )
