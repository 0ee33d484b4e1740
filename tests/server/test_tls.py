"""Redis over TLS."""

from pathlib import Path

import pytest

from tests.support.client import Stream
from tests.support.servers import RedisServer, StartHub
from tests.support.tls import Tls


@pytest.mark.long
def test_a_hub_listens_and_replays_over_tls(tmp_path: Path, start_hub: StartHub) -> None:
    server = RedisServer(tls=Tls.make(tmp_path))
    try:
        hub = start_hub(redis_url=server.url)
        with Stream(hub.url) as stream:
            hub.wait_for_streams(1)
            for n in range(2000):
                server.publish(f"{n} " + "x" * 500)
            events = [stream.event() for _ in range(2000)]
        assert [e.data.partition(" ")[0] for e in events] == [str(n) for n in range(2000)]
        with Stream(hub.url, last_id=events[-2].id) as stream:
            assert stream.event().id == events[-1].id
    finally:
        server.close()
