"""The operator's page where Redis is a cluster, or has sentinels, or is embedded."""

from typing import Any

import pytest

from relay.broker.elected import ElectedMasters
from relay.server.embedded_redis import accepts_connections
from tests.support.client import Stream
from tests.support.cluster import RedisCluster
from tests.support.operators import Page, Report, come_by, operator_of, watching
from tests.support.sentinel import SentinelDeployment
from tests.support.servers import HubProcess, StartHub
from tests.support.site import run_manage

LINK: dict[str, Any] = {"SECRET_KEY": "for the tests of operators only", "RELAY_OPERATOR_LINK": "1"}


def kicks_what_it_sees(hubs: list[HubProcess], deployment: str) -> Report:
    """Both processes report at the first one; a stream of the second is found and kicked."""
    cookie = operator_of(hubs[0])
    with (
        Stream(hubs[1].url, "/stream/?channel=orders.7") as victim,
        watching(hubs[0], cookie) as reports,
    ):
        found = reports.of_each(2)
        assert {each["redis"]["deployment"] for each in found.values()} == {deployment}
        page = Page(hubs[0], cookie)
        assert page.post("/ops/find/", text="orders.7").status == 200
        report = reports.first(lambda each: each["found"].get("orders.7"))
        [row] = report["found"]["orders.7"]
        assert page.post("/ops/kick/", stream=row["id"]).json() == {"processes": 2}
        assert [event.event for event in victim.events()] == []
    return report


@pytest.mark.parametrize("pubsub", ["classic", "sharded"])
def test_a_cluster(start_hub: StartHub, cluster: RedisCluster, pubsub: str) -> None:
    env = {**LINK, "RELAY_CHANNELS": "orders.*", "RELAY_PUBSUB": pubsub}
    hubs = [start_hub(redis_url=cluster.url, **env) for _ in range(2)]
    report = kicks_what_it_sees(hubs, "cluster")
    assert 1 <= len(report["redis"]["masters"]) <= 3


def test_sentinels_and_another_master(start_hub: StartHub, deployment: SentinelDeployment) -> None:
    env = {**LINK, "RELAY_CHANNELS": "orders.*"}
    hubs = [start_hub(redis_url=deployment.url, **env) for _ in range(2)]
    report = kicks_what_it_sees(hubs, "sentinel")
    old = deployment.master
    assert [each["name"] for each in report["redis"]["masters"]] == [f"127.0.0.1:{old.port}"]
    cookie = come_by_command(hubs[0], deployment.url)
    with watching(hubs[0], cookie) as reports:
        reports.of_each(2)
        old.kill()
        new = deployment.wait_for_another(old)
        names = [f"127.0.0.1:{new.port}"]
        moved = reports.of_each(
            2, lambda each: [master["name"] for master in each["redis"]["masters"]] == names
        )
    assert all(each["redis"]["moves"] for each in moved.values())


def come_by_command(hub: HubProcess, redis_url: str) -> str:
    """The cookie of another link, which the command prints."""
    printed = run_manage("relay", "operator-link", "--url", hub.url, **LINK, REDIS_URL=redis_url)
    return come_by(hub, printed.stdout.strip().removeprefix(hub.url))


def test_the_embedded_redis(start_hub: StartHub) -> None:
    if accepts_connections(6379):
        pytest.skip("another Redis has the port of the embedded one")
    hub = start_hub(redis_url="", **LINK, RELAY_CHANNELS="orders.*")
    cookie = operator_of(hub)
    with Stream(hub.url) as stream, watching(hub, cookie) as reports:
        report = reports.first(lambda each: len(each["streams"]) == 2)
        [name] = [r["id"] for r in report["streams"] if r["channels"] == ["demo_stream"]]
        assert Page(hub, cookie).post("/ops/kick/", stream=name).status == 200
        assert list(stream.events()) == []
    refused = run_manage("relay", "operator-link", check=False, **LINK, REDIS_URL="")
    assert refused.returncode == 1
    assert "start the hub again, and it prints a new link" in refused.stderr


def test_every_deployment_has_its_name() -> None:
    names = {each.__name__: each.deployment for each in ElectedMasters.__subclasses__()}
    assert names == {"Sentinels": "sentinel", "Cluster": "cluster"}
