"""The fields of a request that a line of the log carries, for logs in JSON (docs/operations.md)."""

import re

from relay import conf
from relay.conf.proxies import client_address
from relay.types import Scope

_REQUEST_ID = re.compile(rb"[\w.:@+/=-]{1,128}")
"""What proxies write into X-Request-ID. A client may send anything."""


def printable(text: str) -> str:
    """Returns the text in ASCII, with every other character escaped as in Python.

    A terminal obeys control characters, and some letters look like others.
    """
    return "".join(
        each if " " <= each <= "~" else each.encode("unicode_escape").decode() for each in text
    )


def request_fields(scope: Scope) -> dict[str, object]:
    """Returns `client`, the address as limits count it, and `request_id`, each where it is known."""
    forwarded_for, request_id = [], b""
    for name, value in scope.get("headers") or ():
        if name == b"x-forwarded-for":
            forwarded_for.append(value)
        elif name == b"x-request-id":
            request_id = value
    peer = str((scope.get("client") or ("", 0))[0])
    trusted = conf.load().trusted_proxies
    address = client_address(peer, b",".join(forwarded_for).decode("latin-1"), trusted)
    fields: dict[str, object] = {"client": address} if address else {}
    if _REQUEST_ID.fullmatch(request_id):
        fields["request_id"] = request_id.decode("ascii")
    return fields
