"""What the head of a request says: its target and fields, its addresses, and the scope of ASGI."""

from typing import Any
from urllib.parse import unquote

from daphne.utils import parse_x_forwarded_for

from relay.server.target import check_fields, check_host, parse_target


def read_head(request: Any, uri: bytes) -> None:
    """Sets the path, the query and one Host. Raises ValueError."""
    headers = request.requestHeaders
    headers.removeHeader(b"Daphne-Root-Path")
    check_fields(headers.getAllRawHeaders())
    check_host(request.clientproto, headers.getRawHeaders(b"Host") or [])
    target = parse_target(request.method, uri)
    if target.host is not None:
        headers.setRawHeaders(b"Host", [target.host])
    request.path, request.query_string = target.path, target.query


def read_addresses(request: Any) -> None:
    """Sets the client, the server and the scheme, as Daphne does."""
    client, host, server = request.client, request.host, request.server
    if hasattr(client, "host") and hasattr(client, "port"):
        request.client_addr = [str(client.host), client.port]
        request.server_addr = [str(host.host), host.port]
    request.client_scheme = "https" if request.isSecure() else "http"
    if server.proxy_forwarded_address_header:
        request.client_addr, request.client_scheme = parse_x_forwarded_for(
            request.requestHeaders,
            server.proxy_forwarded_address_header,
            server.proxy_forwarded_port_header,
            server.proxy_forwarded_proto_header,
            request.client_addr,
            request.client_scheme,
        )


def wants_websocket(request: Any) -> bool:
    upgrades = request.requestHeaders.getRawHeaders(b"Upgrade") or []
    return b"websocket" in [value.lower() for value in upgrades]


def waits_for_continue(request: Any) -> bool:
    """Whether the client holds its body back until it is asked for (RFC 9110, section 10.1.1)."""
    expectation = (request.requestHeaders.getRawHeaders(b"Expect") or [b""])[0]
    return bool(expectation.lower() == b"100-continue" and request.clientproto == b"HTTP/1.1")


def scope_of(request: Any) -> dict[str, Any]:
    fields = request.requestHeaders.getAllRawHeaders()
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": request.clientproto.partition(b"/")[2].decode("ascii"),
        "method": request.method.decode("ascii"),
        "path": unquote(request.path.decode("ascii")),
        "raw_path": request.path,
        "root_path": request.server.root_path,
        "scheme": request.client_scheme,
        "query_string": request.query_string,
        # Without underscores, which CGI names cannot tell from dashes (CVE-2015-0219).
        "headers": [(n.lower(), v) for n, vs in fields if b"_" not in n for v in vs],
        "client": request.client_addr,
        "server": request.server_addr,
    }
