"""The client in Node and Deno, which have neither a page nor tabs."""

import json
import subprocess
import time
from pathlib import Path

import pytest

from tests.javascript.conftest import Publish
from tests.javascript.tools import MODULES, PACKAGE, needs_node, run
from tests.support.proxy import Proxy
from tests.support.servers import HubProcess, RedisServer

pytestmark = [needs_node, pytest.mark.slow]

NUMBER = 2000

READ = f"""
import {{ connect }} from "{PACKAGE / "client.js"}";

const connection = connect(process.argv[2], {{ share: true, persist: true }});
connection.addEventListener("hub.state", ({{ detail }}) => detail.state === "live" && console.error("live"));
const got = [];
for await (const {{ data }} of connection) {{
  if (got.push(data) === {NUMBER}) break;
}}
console.log(JSON.stringify(got));
"""


@pytest.mark.parametrize(
    "runtime",
    [["node"], [str(MODULES / ".bin/deno"), "run", "--allow-net", "--allow-read"]],
    ids=["node", "deno"],
)
def test_a_loop_through_cuts_loses_and_doubles_nothing_and_ends(
    proxy: Proxy, redis_server: RedisServer, hub: HubProcess, tmp_path: Path, runtime: list[str]
) -> None:
    """Neither a timer nor a connection keeps the process once the loop is left."""
    (tmp_path / "read.mjs").write_text(READ)
    words = [*runtime, str(tmp_path / "read.mjs"), f"{proxy.url}/stream/"]
    pipe = subprocess.PIPE
    with subprocess.Popen(words, stdout=pipe, stderr=pipe, text=True) as node:
        assert node.stderr is not None
        assert node.stderr.readline() == "live\n"
        with redis_server.client() as client, proxy.cutting(0.2):
            for n in range(NUMBER):
                client.publish("demo_stream", n)
                time.sleep(0.001)
        out, _ = node.communicate(timeout=30)
    assert json.loads(out) == [str(n) for n in range(NUMBER)]
    hub.wait_for_streams(0)


def test_it_needs_no_name_that_only_a_page_has(hub: HubProcess, publish: Publish) -> None:
    code = f"""
        for (const name of ["BroadcastChannel", "navigator", "sessionStorage", "document", "location"]) {{
          Object.defineProperty(globalThis, name, {{ value: undefined }});
        }}
        const {{ connect }} = await import("{PACKAGE / "client.js"}");
        const connection = connect("{hub.url}/stream/", {{ share: true, persist: true }});
        connection.addEventListener("hub.state", ({{ detail }}) => {{
          console.log(detail.state);
          if (detail.state === "live") connection.close();
        }});
    """
    assert run("node", "--input-type=module", "-e", code).split() == [
        "connecting",
        "live",
        "closed",
    ]
