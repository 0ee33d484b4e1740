"""The Docker files, as far as they can be tried without a Docker engine."""

import os
import re
import shlex
import signal
import subprocess
import sys
import venv
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
    assert "/health/" in service["healthcheck"]["test"][-1]
    assert service["environment"]["REDIS_URL"] == "redis://redis:6379/0"
    assert service["ports"] == ["127.0.0.1:8000:8000"]


def test_every_setting_reaches_the_hub() -> None:
    passed_on = COMPOSE["services"]["hub"]["environment"]
    own = ["SECRET_KEY", "ALLOWED_HOSTS", "DATABASE_URL", "SECURE_COOKIES", "CSRF_TRUSTED_ORIGINS"]
    assert sorted(passed_on) == sorted([*conf.NAMES, *own])


def test_the_database_lies_where_the_user_of_the_image_may_write() -> None:
    [folder] = re.findall(r"install -d -o relay (\S+)", DOCKERFILE)
    assert f"ENV DATABASE_URL=sqlite:///{folder}/db.sqlite3" in DOCKERFILE
    assert COMPOSE["services"]["hub"]["volumes"] == [f"hub:{folder}"]
    assert "hub" in COMPOSE["volumes"]


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
    venv.create(folder / "venv", with_pip=True)
    [install] = re.findall(r"^RUN (pip install .*)$", DOCKERFILE, re.M)
    pip = [str(folder / "venv/bin/python"), "-m", *install.split(), "--quiet"]
    subprocess.run([*pip, "--disable-pip-version-check"], cwd=work, check=True)
    return folder


def _ignored() -> list[str]:
    return (ROOT / ".dockerignore").read_text().split()


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


def _container(image: Path, redis_url: str) -> HubProcess:
    """`scripts/container` as the image runs it, but on a free port of loopback."""
    text = (image / "srv/scripts/container").read_text()
    ours = text.replace("--host 0.0.0.0 --port 8000", '--host 127.0.0.1 --port "$1"')
    assert ours != text
    script = image / "srv/scripts/container-on-loopback"
    script.write_text(ours)
    code = "import os, sys; os.chdir(sys.argv[1]); os.execv('/bin/sh', ['sh', *sys.argv[2:]])"
    words = ["-c", code, str(image / "srv"), str(script), "{port}"]
    return HubProcess(redis_url, command=words, **_environment(image), SECRET_KEY="")


def test_the_python_of_the_image_is_the_one_that_is_tested() -> None:
    [version] = re.findall(r"^FROM python:(\d+\.\d+)", DOCKERFILE, re.M)
    assert version == "3.11"
    assert sys.version_info >= (3, 11)
