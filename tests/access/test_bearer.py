"""The Authorization field, and how what it holds is refused (RFC 6750)."""

import pytest
from pytest_django import Settings

from relay.access import tokens
from relay.access.bearer import bearer, claims_of, insufficient_scope, unauthenticated
from relay.access.identity import Credentials
from relay.access.problem import Problem
from tests.support.tokens import TOKEN_KEY


@pytest.mark.parametrize(
    ("authorization", "token"),
    [
        ("", None),
        ("Basic YTpi", None),
        ("Bearertoken", None),
        ("Bearer abc", "abc"),
        ("bEARER  abc ", "abc"),
        ("Bearer", ""),
        ("Bearer ", ""),
        ("Bearer a, Bearer b", "a, Bearer b"),
    ],
)
def test_the_token_is_read(authorization: str, token: str | None) -> None:
    assert bearer(authorization) == token


def test_each_refusal_has_its_challenge(settings: Settings) -> None:
    settings.RELAY_TOKEN_KEY = TOKEN_KEY
    assert claims_of(tokens.issue("svc", ["a"]))["sub"] == "svc"
    with pytest.raises(Problem) as refused:
        claims_of("nonsense")
    for problem, status, challenge in (
        (refused.value, 401, b'Bearer error="invalid_token"'),
        (unauthenticated("Sign in."), 401, b"Bearer"),
        (insufficient_scope("No."), 403, b'Bearer error="insufficient_scope"'),
    ):
        assert problem.status == status
        assert problem.headers == [(b"WWW-Authenticate", challenge)]


@pytest.mark.parametrize(
    ("authorization", "query_token", "cookie", "token"),
    [
        ("Bearer one", "two", "relay_token=three", "one"),
        ("Basic one", "two", "relay_token=three", "two"),
        ("", "", "a=b; relay_token=three", "three"),
        ("Bearer", "two", "", ""),
        ("", "", "sessionid=abc", None),
    ],
)
def test_the_first_place_that_has_a_token_counts(
    authorization: str, query_token: str, cookie: str, token: str | None
) -> None:
    credentials = Credentials.of(authorization, query_token, cookie)
    assert credentials.token == token
    assert credentials.session_key == ("abc" if "sessionid" in cookie else "")
    assert repr(credentials) == "Credentials()"
