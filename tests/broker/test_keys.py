"""Every name in Redis is documented, and covered by the documented rights."""

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase

import pytest

from relay.broker.keys import HubKeys, Keys
from tests.support.servers import ROOT

OPERATIONS = (ROOT / "docs" / "operations.md").read_text()
CHANNELS = {"marker", "control", "probe"}
"""These are names of channels; the others are names of keys."""


def names() -> Iterator[tuple[str, str]]:
    """Each name in Redis, with the attribute that gives it."""
    keys, hub_keys = Keys.of("relay", "demo_stream"), HubKeys("relay")
    for owner in (keys, hub_keys):
        for attribute in vars(type(owner)):
            if not attribute.startswith("_") and attribute not in {"of", "prefix", "group"}:
                name = getattr(owner, attribute)
                yield attribute, name("0a1b") if callable(name) else name
    yield "marker", keys.marker("")


def rights() -> list[str]:
    [line] = re.findall(r"^ *ACL SETUSER hub (.*)$", OPERATIONS, re.M)
    return str(line).split()


@pytest.mark.parametrize(("attribute", "name"), list(names()))
def test_the_documented_rights_cover_every_name(attribute: str, name: str) -> None:
    sign = "&" if attribute in CHANNELS else "~"
    patterns = [word[1:] for word in rights() if word[0] == sign]
    assert any(fnmatchcase(name, pattern) for pattern in patterns), name


@pytest.mark.parametrize(("attribute", "name"), list(names()))
def test_every_name_is_documented(attribute: str, name: str) -> None:
    shown = re.sub(":?0a1b$", "", name) if "marker" in name else re.sub("0a1b$", "", name)
    assert re.search(rf"`{re.escape(shown)}…?`", OPERATIONS), shown


def test_the_group_of_the_channel_layer_has_the_key_prefix_of_the_rights() -> None:
    assert "~asgi*" in rights()
    assert HubKeys("a:b").group == "a.b.control"
