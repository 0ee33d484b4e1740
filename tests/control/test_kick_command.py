"""`manage.py kick` says what it did, and what is wrong."""

import pytest

from tests.support.servers import RedisServer
from tests.support.site import run_manage

pytestmark = pytest.mark.slow  # each starts `manage.py`

CHANNELS = "news orders.*=signed-in"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "one of the arguments --user --channel --stream --all is required"),
        (["--user", "7", "--all"], "not allowed with argument"),
        (["--user", ""], "cannot be kicked. Use the id or the name, as text."),
    ],
    ids=str,
)
def test_the_command_says_what_is_wrong(
    redis_server: RedisServer, words: list[str], said: str
) -> None:
    found = run_manage(
        "relay", "kick", *words, check=False, RELAY_CHANNELS=CHANNELS, REDIS_URL=redis_server.url
    )
    assert found.returncode != 0
    assert said in found.stderr
    assert "Traceback" not in found.stderr


def test_the_command_says_that_a_channel_is_none(redis_server: RedisServer) -> None:
    def said(channel: str) -> str:
        found = run_manage(
            "relay",
            "kick",
            "--channel",
            channel,
            RELAY_CHANNELS=CHANNELS,
            REDIS_URL=redis_server.url,
        )
        return found.stderr

    assert said("order.7") == "order.7 is no channel of RELAY_CHANNELS: no stream has it.\n"
    assert said("orders.7") == ""


def test_the_command_says_that_redis_is_away() -> None:
    found = run_manage(
        "relay", "kick", "--all", check=False, REDIS_URL="redis://:s3cret@127.0.0.1:1/0"
    )
    assert found.returncode == 1
    assert "Redis 127.0.0.1:1: " in found.stderr
    assert "Nobody was kicked." in found.stderr
    assert "s3cret" not in found.stderr
