"""deploy/grafana-dashboard.json and deploy/prometheus-alerts.yml, by promtool and by a real Prometheus."""

import json
import re
import shutil
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.client import Stream
from tests.support.metrics import fetch, scrape
from tests.support.servers import ROOT, HubProcess, RedisServer, StartHub, free_port
from tests.support.waiting import wait_until

PROMTOOL = pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed")
ALERTS = ROOT / "deploy/prometheus-alerts.yml"
ALERT_TESTS = ROOT / "tests/deploy/alerts.test.yml"
DASHBOARD: dict[str, Any] = json.loads((ROOT / "deploy/grafana-dashboard.json").read_text())
RULES: list[dict[str, Any]] = yaml.safe_load(ALERTS.read_text())["groups"][0]["rules"]
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


def promtool(*words: str, text: str = "") -> None:
    done = subprocess.run(
        ["promtool", *words], input=text, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert not done.stderr, done.stderr


def expressions() -> Iterator[str]:
    """Those of the dashboard, as Grafana sends them, and those of the alerts."""
    for panel in PANELS:
        for target in panel["targets"]:
            yield target["expr"].replace("$__rate_interval", "1m").replace("$instance", ".*")
    for rule in RULES:
        yield rule["expr"]


def named(expression: str) -> set[str]:
    return set(re.findall(r"\b((?:relay|process)_\w+)", expression))


@PROMTOOL
def test_promtool_accepts_the_rules() -> None:
    promtool("check", "rules", str(ALERTS))


@PROMTOOL
def test_each_alert_fires_when_it_should_and_not_before() -> None:
    promtool("test", "rules", str(ALERT_TESTS))
    tried: dict[str, list[bool]] = {}
    for test in yaml.safe_load(ALERT_TESTS.read_text())["tests"]:
        for case in test["alert_rule_test"]:
            tried.setdefault(case["alertname"], []).append(bool(case["exp_alerts"]))
    assert tried == {rule["alert"]: [False, True] for rule in RULES}


@PROMTOOL
def test_the_names_follow_the_conventions_of_prometheus(start_hub: StartHub) -> None:
    port = free_port()
    start_hub(RELAY_ADMIN_ADDRESS=f"127.0.0.1:{port}")
    promtool("check", "metrics", text=fetch(port, "/metrics")[2].decode())


def test_every_metric_that_is_used_is_exported(start_hub: StartHub) -> None:
    port = free_port()
    start_hub(RELAY_ADMIN_ADDRESS=f"127.0.0.1:{port}")
    exported = scrape(port).names
    used = set().union(*map(named, expressions()))
    assert len(used) > 30
    assert used <= exported
    unused = {name for name in exported - used if not name.endswith(("_sum", "_count"))}
    assert unused == {"process_virtual_memory_bytes"}


def test_the_dashboard_can_be_imported() -> None:
    assert [variable["name"] for variable in DASHBOARD["templating"]["list"]] == [
        "datasource",
        "instance",
    ]
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)
    places = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        for y in range(place["y"], place["y"] + place["h"]):
            for x in range(place["x"], place["x"] + place["w"]):
                assert (x, y) not in places, f"{panel['title']} lies upon another panel"
                places.add((x, y))
    for panel in PANELS:
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        references = [target["refId"] for target in panel["targets"]]
        assert len(set(references)) == len(references)


def test_every_recipe_serves_metrics_on_loopback_alone() -> None:
    found = []
    for path in (ROOT / "deploy").iterdir():
        found += re.findall(r"RELAY_ADMIN_ADDRESS=(\S+)", path.read_text())
    assert found
    assert all(address.startswith("127.0.0.1:") for address in found)


class Prometheus:
    """A real one that scrapes one hub, with the rules loaded."""

    def __init__(self, folder: Path, target: int) -> None:
        self.port = free_port()
        configuration = {
            "global": {"scrape_interval": "250ms", "evaluation_interval": "250ms"},
            "rule_files": [str(ALERTS)],
            "scrape_configs": [
                {
                    "job_name": "relay-hub",
                    "scrape_timeout": "200ms",
                    "static_configs": [{"targets": [f"127.0.0.1:{target}"]}],
                }
            ],
        }
        (folder / "prometheus.yml").write_text(yaml.safe_dump(configuration))
        self.log = folder / "log"
        command = [
            "prometheus",
            f"--config.file={folder}/prometheus.yml",
            f"--storage.tsdb.path={folder}/data",
            f"--web.listen-address=127.0.0.1:{self.port}",
        ]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(20)

    def ask(self, expression: str) -> list[dict[str, Any]]:
        """Raises OSError for an expression that cannot be evaluated."""
        query = urllib.parse.urlencode({"query": expression})
        url = f"http://127.0.0.1:{self.port}/api/v1/query?{query}"
        with urllib.request.urlopen(url, timeout=10) as response:
            return list(json.load(response)["data"]["result"])

    def value(self, expression: str) -> float | None:
        try:
            found = self.ask(expression)
        except OSError:
            return None
        return float(found[0]["value"][1]) if found else None


@PROMTOOL
def test_a_prometheus_scrapes_a_hub_and_evaluates_every_expression(
    start_hub: StartHub, redis_server: RedisServer, tmp_path: Path
) -> None:
    port = free_port()
    hub: HubProcess = start_hub(RELAY_ADMIN_ADDRESS=f"127.0.0.1:{port}", RELAY_WORKERS="2")
    hub.wait_for_log("2 workers")
    prometheus = Prometheus(tmp_path, port)
    try:
        with Stream(hub.url), Stream(hub.url):
            wait_until(
                lambda: prometheus.value("sum(relay_streams)") == 2,
                f"it has scraped two streams\n{prometheus.log.read_text()}",
                30,
            )
        assert prometheus.value('relay_workers{state="answering"}') == 2
        assert prometheus.value('up{job="relay-hub"}') == 1
        for expression in expressions():
            prometheus.ask(expression)
        redis_server.kill()
        pending = 'ALERTS{alertname="RelayHubRedisLost"}'
        wait_until(lambda: prometheus.ask(pending), "the alert is pending", 30)
    finally:
        prometheus.close()
