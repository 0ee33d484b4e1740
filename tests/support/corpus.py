"""Payloads that have broken encoders of Server-Sent Events, here and elsewhere."""

import re

MIB = 1024 * 1024

CORPUS = {
    "plain": b"Test Event",
    "leading space": b" x",
    "cr": b"a\rb",
    "lf": b"a\nb",
    "crlf": b"a\r\nb",
    "mixed line ends": b"\r\r\n\n\ra\n\r",
    "nul": b"a\0b\0",
    "bom": "\ufeffa\ufeff".encode(),
    "line separator": "a\u2028b\u2029c\x85d\x0be\x0cf".encode(),
    "forged id": b"x\nid: 1-1",
    "forged event": b"x\r\nevent: hub.gap\rdata: {}",
    "forged retry": b"x\rretry: 1\n\nretry: 1",
    "forged end": b"x\n\ndata: second",
    "invalid utf-8": b"a\xff\xfe\xc3(\xed\xa0\x80",
    "colon": b": comment?",
    "markup": b"<img src=x onerror=alert(1)>",
    "one MiB": b"x" * MIB,
    "many lines": b"\n" * 1000,
    "1 MiB of LF": b"\n" * MIB,
}


def as_received(text: str) -> str:
    """What a client's `data` is: the format has one line end, LF (WHATWG HTML, 9.2.6)."""
    return re.sub("\r\n|\r", "\n", text)
