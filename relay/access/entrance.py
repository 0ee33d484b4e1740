"""Lets a request in by one of the credentials that it shows."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Any

from relay.access import tokens
from relay.access.identity import Credentials, Viewer, session_viewer, token_viewer
from relay.access.problem import Problem
from relay.access.rules import require
from relay.conf.catalogue import Target
from relay.types import Scope


async def admitted(credentials: Credentials, targets: Sequence[Target], scope: Scope) -> Viewer:
    """Returns the first viewer that may see every channel. Raises Problem where there is none.

    A token in the Authorization field or the query is judged alone. Browsers send cookies by
    themselves, so those are tried one after the other: all tokens of a subject, then the session.
    """
    if not credentials.cookie_tokens:
        viewer = await _named(credentials)
        await _require_all(viewer, targets, scope)
        return viewer
    refusal: Problem | None = None
    async for viewer in _by_cookies(credentials):
        try:
            await _require_all(viewer, targets, scope)
        except Problem as problem:
            refusal = refusal or problem
        else:
            return viewer
    raise refusal or _invalid(credentials)


async def viewers(credentials: Credentials) -> Sequence[Viewer]:
    """Returns all whom the credentials name; what one of them may see, `admitted` lets in.

    Raises Problem (401) for a token in the Authorization field or the query that is not valid.
    """
    if not credentials.cookie_tokens:
        return [await _named(credentials)]
    return [viewer async for viewer in _by_cookies(credentials)]


async def _named(credentials: Credentials) -> Viewer:
    if credentials.token is not None:
        return token_viewer(credentials.token)
    return await session_viewer(credentials.session_key)


async def _require_all(viewer: Viewer, targets: Iterable[Target], scope: Scope) -> None:
    for target in targets:
        await require(viewer, target, scope)


async def _by_cookies(credentials: Credentials) -> AsyncIterator[Viewer]:
    for viewer in _joined(credentials.cookie_tokens):
        yield viewer
    viewer = await session_viewer(credentials.session_key)
    if viewer.key:
        yield viewer


def _joined(texts: Iterable[str]) -> Iterable[Viewer]:
    """Returns a viewer for each subject, with what all valid tokens of that subject grant."""
    viewers: dict[str, Viewer] = {}
    for text in texts:
        try:
            viewer = token_viewer(text)
        except Problem:
            continue
        known = viewers.get(viewer.key)
        viewers[viewer.key] = _both(known, viewer) if known else viewer
    return viewers.values()


def _both(one: Viewer, two: Viewer) -> Viewer:
    """The first of the two that expires ends the stream: a grant must not outlive its token."""
    assert one.claims is not None
    assert two.claims is not None
    lists = {name: _list(one.claims, name) + _list(two.claims, name) for name in tokens.LISTS}
    ends_at = min(one.ends_at or 0, two.ends_at or 0)
    return Viewer(one.user, one.key, {**one.claims, **lists}, ends_at)


def _list(claims: Mapping[str, Any], name: str) -> list[Any]:
    found = claims.get(name)
    return found if isinstance(found, list) else []


def _invalid(credentials: Credentials) -> Problem:
    """Returns why the first token in a cookie is refused."""
    try:
        token_viewer(credentials.cookie_tokens[0])
    except Problem as problem:
        return problem
    raise AssertionError("a valid token is a viewer, and a viewer is let in or refused")
