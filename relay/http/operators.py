"""The operator's page at `ops/`, and what it asks for; docs/operations.md is what it promises."""

import json
import logging
from collections.abc import Callable, Coroutine, Mapping
from functools import wraps
from typing import Any

from django.contrib.auth.views import redirect_to_login
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import render
from django.urls import get_script_prefix
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt

from relay import conf
from relay.access.log_fields import printable, request_fields
from relay.access.operators import (
    COOKIE_SECONDS,
    NotOperator,
    Operator,
    cookie_name,
    new_cookie,
    operator_of,
)
from relay.access.problem import Problem
from relay.broker.errors import RedisUnavailable
from relay.broker.keys import HubKeys
from relay.control.kick import Kick
from relay.control.kicks import asend
from relay.control.operator_links import take_link
from relay.control.watch import MAX_TEXT, Watch
from relay.http.own_page import require_own_page
from relay.http.refusal import refuse, require_method
from relay.http.request import scope_of
from relay.http.sign_in import sign_in_address
from relay.publishing.clients import commands

logger = logging.getLogger("relay")

MAX_BODY_BYTES = 4096
KINDS = ("stream", "user", "channel")
"""What the page can kick."""

View = Callable[[HttpRequest], Coroutine[Any, Any, HttpResponse]]


# -- the page


async def page(request: HttpRequest) -> HttpResponse:
    """The page, for an operator; else the way to sign in, or a page that says how to get in."""
    if request.method not in {"GET", "HEAD"}:
        return refuse(Problem(405, _("This page is read with GET."), [(b"Allow", b"GET, HEAD")]))
    if "link" in request.GET and request.method == "GET":
        return await _by_link(request, request.GET["link"])
    try:
        operator = await operator_of(request)
    except NotOperator as refused:
        return _way_in(request, refused)
    except DatabaseError:
        return _refusal(request, "database", 503)
    catalogue = conf.load_catalogue()
    context = {
        "operator": operator.name,
        "stream": get_script_prefix() + conf.load().stream_path,
        "channel": catalogue.operators.name,
        "here": _here(request),
    }
    return _page(request, "relay/ops.html", context)


async def _by_link(request: HttpRequest, secret: str) -> HttpResponse:
    """Changes a link for a cookie. The answer leads to the address without the secret."""
    settings = conf.load()
    try:
        taken = settings.operator_link and await take_link(
            await commands(), HubKeys(settings.prefix), secret
        )
    except RedisUnavailable:
        return _refusal(request, "redis", 503)
    if not taken:
        return _refusal(request, "link", 403)
    response = HttpResponseRedirect(_here(request), headers={"Cache-Control": "no-store"})
    response["Referrer-Policy"] = "no-referrer"
    response.set_cookie(
        cookie_name(),
        new_cookie(),
        max_age=COOKIE_SECONDS,
        path=get_script_prefix(),
        httponly=True,
        secure=request.is_secure(),
        samesite="Strict",
    )
    logger.info("Somebody came to the operator's page by a link.", extra=_fields(request))
    return response


def _way_in(request: HttpRequest, refused: NotOperator) -> HttpResponse:
    if refused.signed_in:
        return _refusal(request, "right", 403)
    address = sign_in_address()
    if address is None:
        return _refusal(request, "nobody", 403)
    response = redirect_to_login(request.get_full_path(), address)
    response["Cache-Control"] = "no-store"
    return response


def _refusal(request: HttpRequest, reason: str, status: int) -> HttpResponse:
    links = conf.load().operator_link
    context = {"reason": reason, "has_links": links, "here": _here(request)}
    response = _page(request, "relay/ops_refused.html", context)
    response.status_code = status
    return response


def _here(request: HttpRequest) -> str:
    """The address of the page. A site may have given its URL a namespace, so it is not reversed."""
    return request.path.rstrip("/") + "/"


def _page(request: HttpRequest, template: str, context: Mapping[str, Any]) -> HttpResponse:
    response = render(request, template, dict(context))
    response["Cache-Control"] = "no-store"
    response["X-Frame-Options"] = "DENY"
    return response


# -- what the page asks for


def _for_operators(
    view: Callable[[HttpRequest, Operator], Coroutine[Any, Any, HttpResponse]],
) -> View:
    """Answers POST of an operator from a page of this site; all else is refused with a problem."""

    @csrf_exempt  # require_own_page does it, so that its refusal is a problem, too
    @wraps(view)
    async def answering(request: HttpRequest) -> HttpResponse:
        try:
            require_method(request, "POST", _("This is asked for with POST."))
            if len(request.body) > MAX_BODY_BYTES:
                raise Problem(413, _("The body is too long."))
            operator = await _require_operator(request)
            await require_own_page(request)
            return await view(request, operator)
        except Problem as problem:
            return refuse(problem)

    return answering


async def _require_operator(request: HttpRequest) -> Operator:
    try:
        return await operator_of(request)
    except NotOperator as refused:
        if refused.signed_in:
            raise Problem(403, _("This user may not do this (relay.operate).")) from None
        raise Problem(403, _("Open the operator's page again to sign in.")) from None
    except DatabaseError:
        raise Problem(503, _("The database of users does not answer.")) from None


@_for_operators
async def kick(request: HttpRequest, operator: Operator) -> HttpResponse:
    """Ends the streams of `user` or `channel`, or one `stream`. Answers {"processes"}."""
    wished = _kick(_fields_of(request))
    try:
        processes = await asend(wished)
    except RedisUnavailable as error:
        raise Problem(503, str(error), [(b"Retry-After", b"1")]) from None
    name = wished.stream or wished.user or wished.channel
    extra = _fields(request)
    logger.info(
        "Operator %s kicked %s %s.", operator.name, wished.kind, printable(name), extra=extra
    )
    return JsonResponse({"processes": processes}, headers={"Cache-Control": "no-store"})


@_for_operators
async def find(request: HttpRequest, operator: Operator) -> HttpResponse:
    """Has all processes look for `text` in their streams for some seconds. Answers {}."""
    text = _fields_of(request).get("text")
    if not isinstance(text, str) or not 0 < len(text) <= MAX_TEXT or not _is_unicode(text):
        detail = _("The text has 1 to %(limit)d characters.")
        raise Problem(400, detail % {"limit": MAX_TEXT})
    try:
        await (await commands()).run("PUBLISH", _control(), Watch(text).encode())
    except RedisUnavailable:
        raise Problem(503, _("Redis did not answer."), [(b"Retry-After", b"1")]) from None
    return JsonResponse({}, headers={"Cache-Control": "no-store"})


def _control() -> str:
    return HubKeys(conf.load().prefix).control


def _kick(fields: Mapping[str, Any]) -> Kick:
    named = {kind: fields[kind] for kind in KINDS if fields.get(kind)}
    [name, *others] = named.values() or [None]
    if others or not isinstance(name, str) or len(name) > 255 or not _is_unicode(name):
        raise Problem(400, _("Name one stream, user or channel, as text."))
    try:
        return Kick.of(named.get("user"), named.get("channel"), False, named.get("stream"))
    except ValueError:
        raise Problem(400, _("This is no id of a stream.")) from None


def _fields_of(request: HttpRequest) -> Mapping[str, Any]:
    """Returns the fields of a form, or of a JSON object. Raises Problem."""
    if request.content_type != "application/json":
        return request.POST.dict()
    try:
        fields = json.loads(request.body)
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, Mapping):
        raise Problem(400, _("The body is no JSON object."))
    return fields


def _is_unicode(text: str) -> bool:
    """Whether it has a form in UTF-8, which a lone surrogate has not."""
    return text.isprintable() or not any("\ud800" <= each <= "\udfff" for each in text)


def _fields(request: HttpRequest) -> dict[str, object]:
    return request_fields(scope_of(request))
