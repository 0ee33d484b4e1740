"""The client as it is served and packed: its size, its types, what is in the package."""

import gzip
import json
import re
import tarfile
from pathlib import Path

import pytest

from relay.version import __version__
from tests.javascript.tools import MODULES, PACKAGE, needs_node, run, tool
from tests.support.servers import ROOT

MAX_BYTES = 6 * 1024

pytestmark = [needs_node, pytest.mark.slow]

USE = """
import { connect, EventParser, RelayError } from "@relay-hub/client";
import type { Gap, RelayEvent, RelayState } from "@relay-hub/client";

const connection = connect("/stream/", {
  channels: { news: (event: RelayEvent) => event.channel, "orders.*": null },
  token: async () => null,
  rewind: "all",
  since: new Date(),
  latest: 0.5,
  share: "user 7",
  persist: true,
  credentials: "include",
  signal: AbortSignal.timeout(5),
  onMessage: (event) => event.json<{ price: number }>().price.toFixed(2),
  onGap: (gap: Gap) => (gap.missed === null ? gap.reason : gap.missed.toFixed()),
  onOversize: ({ bytes }) => bytes.toFixed(),
  onState: (state: RelayState) => {
    if (state.state === "live") state.periodMs.toFixed();
    if (state.state === "refused") state.detail.trim();
  },
});
connection.addEventListener("hub.state", ({ detail }) => detail.state.trim());
connection.addEventListener("price", ({ data, id, lastEventId }) => data + id + lastEventId);
const listener = (event: RelayEvent) => event.id;
connection.addEventListener("price", listener, { once: true });
connection.removeEventListener("price", listener);
const anyTarget: EventTarget = connection;
anyTarget.addEventListener("price", { handleEvent: (event: Event) => event.type });
connection.add("a");
connection.add("b", (event) => event.data);
connection.drop("a");
for await (const { detail } of connection) if (detail && "reason" in detail) detail.reason.trim();
const error: RelayError | null = connection.error;
error?.status.toFixed();
new EventParser({ event: ({ data }) => data, id() {}, retry: (ms) => ms, comment() {} }).push("data: x");
"""

MISUSE = (
    'connect("/stream/", { chanels: ["a"] });',
    'connect("/stream/", { rewind: "some" });',
    'connect("/stream/").state = "live";',
    "connect({});",
    'connect("/", { onGap: (gap) => gap.missed.toFixed() });',
    'connect("/", { onMessage: ({ data }) => data.price });',
    'connect("/", { channels: "news" });',
    'connect("/").addEventListener("price", ({ price }) => price);',
    'connect("/").error.status.toFixed();',
)


def test_it_is_small() -> None:
    assert len(gzip.compress((PACKAGE / "client.js").read_bytes(), 9)) <= MAX_BYTES


def test_it_is_built_from_its_sources(tmp_path: Path) -> None:
    """`make client` builds it."""
    run("scripts/client", str(tmp_path / "client.js"), cwd=ROOT)
    assert (tmp_path / "client.js").read_text() == (PACKAGE / "client.js").read_text()


def test_it_needs_nothing_else() -> None:
    assert re.findall(r"\bimport\b", (PACKAGE / "client.js").read_text()) == []
    package = json.loads((PACKAGE / "package.json").read_text())
    assert not package.keys() & {"dependencies", "peerDependencies", "optionalDependencies"}


def test_its_version_is_that_of_the_hub() -> None:
    assert json.loads((PACKAGE / "package.json").read_text())["version"] == __version__
    assert f"client {__version__}," in (PACKAGE / "client.js").read_text()


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A project that has the packed client."""
    run("npm", "pack", "--pack-destination", str(tmp_path), cwd=PACKAGE)
    [archive] = tmp_path.glob("*.tgz")
    with tarfile.open(archive) as packed:
        packed.extractall(tmp_path, filter="data")
    home = tmp_path / "node_modules/@relay-hub"
    home.mkdir(parents=True)
    (tmp_path / "package").rename(home / "client")
    return tmp_path


def test_the_package_has_the_client_and_its_types(installed: Path) -> None:
    files = {path.name for path in (installed / "node_modules/@relay-hub/client").iterdir()}
    assert files == {"client.js", "client.d.ts", "package.json", "README.md"}
    code = 'import("@relay-hub/client").then((all) => console.log(Object.keys(all).sort().join()))'
    names = run("node", "--input-type=module", "-e", code, cwd=installed)
    assert names.strip() == "EventParser,RelayError,RelayEvent,connect"


def check_types(folder: Path, source: str, *flags: str) -> str:
    (folder / "use.mts").write_text(source)
    strict = ["--strict", "--noEmit", "--skipLibCheck", "false", "--target", "es2022"]
    strict += ["--lib", "es2022,dom,dom.iterable,dom.asynciterable", "--types", ""]
    return tool("tsc", *strict, *(flags or ["--module", "nodenext"]), "use.mts", cwd=folder)


BUNDLER = ["--module", "esnext", "--moduleResolution", "bundler", "--exactOptionalPropertyTypes"]


@pytest.mark.parametrize("flags", [[], BUNDLER], ids=["node", "bundler"])
def test_its_types_are_right_for_a_strict_compiler(installed: Path, flags: list[str]) -> None:
    assert check_types(installed, USE, *flags) == ""


def names_in(text: str) -> set[str]:
    return set(re.findall(r"^export (?:class|function) (\w+)", text, re.MULTILINE))


def test_its_types_name_what_it_exports_and_its_options(installed: Path) -> None:
    types = (PACKAGE / "client.d.ts").read_text()
    assert names_in(types) == {"connect", "EventParser", "RelayError", "RelayEvent"}
    options = re.search(r"interface RelayOptions \{(.*?)^\}", types, re.MULTILINE | re.DOTALL)
    assert options is not None
    names = re.findall(r"^  (\w+)\?:", options[1], re.MULTILINE)
    source = (PACKAGE / "src/connection.js").read_text()
    [known] = re.findall(r"^const OPTIONS = (.*?);", source, re.MULTILINE | re.DOTALL)
    assert names == re.findall(r'"(\w+)"', known)


@pytest.mark.parametrize("line", MISUSE)
def test_its_types_find_mistakes(installed: Path, line: str) -> None:
    with pytest.raises(AssertionError, match="error TS"):
        check_types(installed, f'import {{ connect }} from "@relay-hub/client";\n{line}')


def test_the_tools_are_those_of_the_lock_file() -> None:
    lock = json.loads((MODULES.parent / "package-lock.json").read_text())["packages"]
    assert not [name for name, each in lock.items() if "resolved" in each]
