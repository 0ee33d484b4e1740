"""The other files in deploy/, as far as they can be tried without what they are for."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from relay import __version__, conf
from relay.engine.draining import drain_bound
from relay.workers import parent
from tests.support.servers import ROOT

DEPLOY = ROOT / "deploy"
KUBERNETES: list[dict[str, Any]] = list(
    yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text())
)
UNIT = DEPLOY / "relay-hub.service"


SYSTEMD = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed")


@SYSTEMD
def test_the_systemd_unit_leaves_a_service_little_to_break() -> None:
    command = ["systemd-analyze", "security", "--offline=true", "--threshold=29", str(UNIT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-300:] + done.stderr


@SYSTEMD
def test_the_systemd_unit_has_no_word_that_systemd_does_not_know() -> None:
    done = subprocess.run(
        ["systemd-analyze", "verify", str(UNIT)], capture_output=True, text=True, check=False
    )
    wrong = [line for line in done.stderr.splitlines() if "is not executable" not in line]
    assert [line for line in wrong if UNIT.name in line] == []


def test_the_database_of_the_systemd_unit_lies_where_it_may_write() -> None:
    text = UNIT.read_text()
    [state] = re.findall(r"^StateDirectory=(\S+)$", text, re.M)
    [database] = re.findall(r"^Environment=DATABASE_URL=sqlite:///(\S+)$", text, re.M)
    assert str(Path(database).parent) == f"/var/lib/{state}"
    assert "ProtectSystem=strict" in text
    # A variable of the file that follows replaces it.
    assert text.index("DATABASE_URL=") < text.index("EnvironmentFile=")


def test_kubernetes_runs_the_image_with_no_rights() -> None:
    [container] = KUBERNETES[0]["spec"]["template"]["spec"]["containers"]
    assert container["image"].endswith(f":{__version__}")
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {each["kind"] for each in KUBERNETES} == {"Deployment", "Service", "PodDisruptionBudget"}


def test_the_probes_need_no_host_of_their_own() -> None:
    [container] = KUBERNETES[0]["spec"]["template"]["spec"]["containers"]
    assert container["startupProbe"]["httpGet"] == {"path": "/readyz", "port": "http"}
    assert container["livenessProbe"]["httpGet"] == {"path": "/livez", "port": "http"}


@pytest.mark.parametrize("path", sorted(DEPLOY.iterdir()), ids=lambda path: path.name)
def test_every_setting_that_a_file_names_is_one(path: Any) -> None:
    named = set(re.findall(r"\b(RELAY_[A-Z_]+|REDIS_URL)\b", path.read_text()))
    assert named <= set(conf.NAMES)
    assert path.name in (ROOT / "docs/operations.md").read_text()


def test_systemd_tells_the_parent_alone_to_stop() -> None:
    """Else each worker would end its streams at once, and none would be drained."""
    text = UNIT.read_text()
    assert re.findall(r"^KillMode=(\S+)$", text, re.M) == ["mixed"]
    [seconds] = re.findall(r"^TimeoutStopSec=(\d+)$", text, re.M)
    assert int(seconds) > drain_bound(conf.load()) + 2 * parent.END_SECONDS
