"""Which pages of other origins may read streams (Fetch standard, "CORS protocol")."""

import re
from collections.abc import Iterable
from urllib.parse import urlsplit

_ENTRY = re.compile(r"https?://(\*\.)?[a-z0-9.-]+(:[0-9]{1,5})?", re.ASCII)


class Origins:
    """Exact origins (`https://app.example.com`), or any host below one (`https://*.example.com`).

    Raises ValueError for an entry that is neither.
    """

    def __init__(self, entries: Iterable[str]) -> None:
        self._exact = set()
        self._below: set[tuple[str, str]] = set()
        for entry in entries:
            if not _ENTRY.fullmatch(entry):
                raise ValueError(f"{entry!r} is no origin")
            scheme, _, host = entry.partition("://")
            if host.startswith("*."):
                self._below.add((scheme, host[1:]))
            else:
                self._exact.add(entry)

    def allows(self, origin: str, host: str) -> bool:
        """Whether a page of `origin` may read what this server says under the name `host`."""
        parts = urlsplit(origin) if _ENTRY.fullmatch(origin) else None
        if parts is None or "*" in origin:
            return False  # "null" is one of these: anybody can have it
        if parts.netloc == host.lower():
            return True
        below = ((s, h) for s, h in self._below if s == parts.scheme)
        return origin in self._exact or any(parts.netloc.endswith(h) for _, h in below)
