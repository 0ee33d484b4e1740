"""The forms of REDIS_URL that name several servers."""

import pytest

from relay.broker.address import RedisAddress, addresses_of, name_of
from relay.broker.urls import ClusterUrl, SentinelUrl, UnusableOption, parse


def test_sentinels_are_listed_with_a_service_a_database_and_two_passwords() -> None:
    url = parse(
        "redis+sentinel://ann:p%40ss%2Fw@h1,h2:26380,[::1]:7/live/3"
        "?sentinel_username=s&sentinel_password=q%26&socket_timeout=4"
    )
    assert isinstance(url, SentinelUrl)
    assert (url.hosts, url.service) == ((("h1", 26379), ("h2", 26380), ("::1", 7)), "live")
    assert url.masters.of("m", 1) == "redis://ann:p%40ss%2Fw@m:1/3?socket_timeout=4"
    assert url.sentinels.of("::1", 7) == "redis://s:q%26@[::1]:7/?socket_timeout=4"
    assert "p%40ss" not in repr(url)
    assert "q%26" not in repr(url)
    assert url.name == "live (h1:26379, h2:26380, ::1:7)"


def test_a_cluster_is_a_list_of_nodes() -> None:
    url = parse("rediss+cluster://:pw@h1:7000,h2/0?ssl_cert_reqs=none")
    assert isinstance(url, ClusterUrl)
    assert url.hosts == (("h1", 7000), ("h2", 6379))
    assert url.nodes.of("h", 1) == "rediss://:pw@h:1/0?ssl_cert_reqs=none"
    assert [address.name for address in addresses_of("redis+cluster://a,b:2")] == ["a:6379", "b:2"]
    assert name_of("redis+cluster://:pw@h1:7000,h2") == "cluster (h1:7000, h2:6379)"


def test_the_password_reaches_the_servers() -> None:
    url = parse("redis+sentinel://:p%40ss@h/live")
    assert isinstance(url, SentinelUrl)
    address = RedisAddress(url.masters.of("m", 1))
    assert address._auth == ("AUTH", "p@ss")
    assert RedisAddress(url.sentinels.of("h", 1))._auth == ()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("redis+sentinel://h1,h2", "name of the service is missing"),
        ("redis+sentinel://h1/live/x", "database must be one number"),
        ("redis+sentinel://h1/live/1/2", "database must be one number"),
        ("redis+sentinel:///live", "no host"),
        ("redis+sentinel://h1,,h2/live", "no host"),
        ("redis+sentinel://h1:0/live", "no host"),
        ("redis+sentinel://h1:70000/live", "no host"),
        ("redis+sentinel://::1/live", "in brackets"),
        ("redis+cluster://h/1", "no database but 0"),
        ("redis+cluster://h?db=2", "no database but 0"),
        ("redis+cluster://h?decode_responses=1", "decode_responses"),
        ("redis+sentinel://h/live?ssl_check_hostname=maybe", "cannot be used"),
    ],
)
def test_what_is_wrong_is_named_and_no_password_is_shown(url: str, said: str) -> None:
    with pytest.raises(UnusableOption, match=said) as raised:
        addresses_of(url.replace("://", "://:s3cret@", 1))
    assert "s3cret" not in str(raised.value)
