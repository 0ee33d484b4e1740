"""The metrics of a process that is alone: its hub serves the admin address itself."""

from relay.engine.hub import Hub
from relay.metrics.admin import AdminServer
from relay.metrics.host import Host, View
from relay.metrics.snapshot import take_details, take_snapshot

WORKER = "1"
"""Its label, as if it were the only worker of a parent."""


async def serve_metrics(hub: Hub) -> None:
    """Serves RELAY_ADMIN_ADDRESS, which must be set, until it is cancelled."""
    address = hub.settings.admin_address
    assert address is not None

    async def collect(view: View) -> Host:
        take = take_details if view is View.DETAILS else take_snapshot
        return Host({WORKER: await take(hub)})

    await AdminServer(address, collect).run()
