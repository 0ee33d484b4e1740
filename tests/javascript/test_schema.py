"""The descriptions of events for machines: made from the code, valid, and true of a real stream."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scripts import schema
from tests.javascript.tools import HERE, needs_node, run
from tests.support.client import Stream
from tests.support.servers import ROOT, RedisServer, StartHub

pytestmark = [needs_node, pytest.mark.slow]

VALIDATE = """
import { readFileSync } from "node:fs";
import Ajv from "ajv";
import Ajv2020 from "ajv/dist/2020.js";

const read = (path) => JSON.parse(readFileSync(path, "utf8"));
const [schema, values] = process.argv.slice(1).map(read);
const Kind = schema.$schema?.includes("2020-12") ? Ajv2020 : Ajv;
const ajv = new Kind({ strict: false, validateFormats: false });
const check = ajv.compile(schema);
console.log(JSON.stringify(values.map((value) => check(value) || check.errors)));
"""


def validate(described: Path, values: list[Any], folder: Path) -> list[Any]:
    """For each value True, or the errors."""
    (folder / "values.json").write_text(json.dumps(values))
    words = ["node", "--input-type=module", "-e", VALIDATE]
    return list(json.loads(run(*words, str(described), str(folder / "values.json"), cwd=HERE)))


@pytest.mark.parametrize("path", schema.FILES)
def test_it_is_made_from_the_code(path: str) -> None:
    """`make client` makes it."""
    assert (ROOT / path).read_text() == schema.text_of(schema.FILES[path])


def test_the_asyncapi_document_is_valid(tmp_path: Path) -> None:
    specification = HERE / "node_modules/@asyncapi/specs/schemas/3.0.0-without-$id.json"
    document = json.loads((ROOT / "docs/asyncapi.json").read_text())
    assert validate(specification, [document], tmp_path) == [True]
    operations = {"listen": {**document["operations"]["listen"], "action": "listen"}}
    spoilt = [{**document, "channels": 5}, {**document, "operations": operations}]
    assert True not in validate(specification, spoilt, tmp_path)


def real_events(url: str, redis_server: RedisServer) -> list[dict[str, Any]]:
    """One of each kind at least, as the schema describes them."""
    unknown = {"Last-Event-ID": "small=5-5&named=5-5"}
    with Stream(url, "/stream/?channel=small&channel=named", headers=unknown) as stream:
        events = [stream.event(), stream.event()]
        redis_server.publish("x" * 1000, "small")
        redis_server.publish("fits", "small")
        events += [stream.event(), stream.event()]
        redis_server.publish('{"event": "price", "data": 5}', "named")
        events += [stream.event()]
    with Stream(url, "/stream/?channel=news", headers={"Last-Event-ID": "5-5"}) as stream:
        events.append(stream.event())
    with Stream(url, "/stream/?channel=nowhere&errors=stream") as stream:
        events.append(stream.event())
    return [as_described(event.event, event.id, event.data) for event in events]


def as_described(event: str, id: str, data: str) -> dict[str, Any]:
    own = event.startswith("hub.")
    return {"event": event, "data": json.loads(data) if own else data} | ({"id": id} if id else {})


def spoilt(value: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The same event with one thing wrong."""
    yield {**value, "id": "5"}
    yield {**value, "data": 5}
    yield {**value, "event": "hub.other"}
    yield {**value, "event": "no name"}
    for name in (*value, "id") if value["event"] == "message" else ("event", "data"):
        yield {key: each for key, each in value.items() if key != name}
    if value["event"].startswith("hub."):
        yield {**value, "event": "message"}
        for name in value["data"]:
            data = {key: each for key, each in value["data"].items() if key != name}
            yield {**value, "data": data}
            yield {**value, "data": {**value["data"], name: -1}}


def test_real_events_are_as_described_and_spoilt_ones_are_not(
    start_hub: StartHub, redis_server: RedisServer, tmp_path: Path
) -> None:
    hub = start_hub(DJANGO_SETTINGS_MODULE="tests.support.client_settings")
    values = real_events(hub.url, redis_server)
    kinds = ["hub.gap", "hub.gap", "hub.oversize", "message", "price", "hub.gap", "hub.error"]
    assert [value["event"] for value in values] == kinds
    described = ROOT / "docs/events.schema.json"
    assert validate(described, values, tmp_path) == [True] * len(values)
    wrong = [each for value in values for each in spoilt(value)]
    passed = [
        each
        for each, found in zip(wrong, validate(described, wrong, tmp_path), strict=True)
        if found is True
    ]
    assert passed == []


def test_the_payloads_in_both_documents_are_the_same() -> None:
    events = json.loads((ROOT / "docs/events.schema.json").read_text())["$defs"]
    messages = json.loads((ROOT / "docs/asyncapi.json").read_text())["components"]
    named = {each["name"]: messages["schemas"][key] for key, each in messages["messages"].items()}
    assert named == {name: each for name, each in events.items() if name != "id"}
