"""Envelopes as other software writes them: white space, numbers, surrogates."""

import pytest

from relay.wire.envelope import Envelope, unwrap


@pytest.mark.parametrize("white", [b" ", b"\n", b"\r\n\t "])
def test_white_space_before_an_envelope_is_none_of_its_text(white: bytes) -> None:
    assert unwrap(white + b'{"event":"a","data":"x"}') == Envelope(b"x", "a")


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"12.50", b"12.50"),
        (b"[1e400,-0.0,12.50,1]", b"[1e400,-0.0,12.50,1]"),
        (b'{"price": 0.10, "text": "0.10"}', b'{"price":0.10,"text":"0.10"}'),
        (rb'"\ud83d"', "�".encode()),
        (rb'["\ud83d\ude00", "\ude00"]', '["😀","�"]'.encode()),
    ],
)
def test_data_is_written_as_it_was_read(data: bytes, text: bytes) -> None:
    assert unwrap(b'{"data":%b}' % data) == Envelope(text)


@pytest.mark.parametrize("data", [b"NaN", b"[Infinity]", b'{"a":-Infinity}'])
def test_what_is_no_json_is_no_envelope(data: bytes) -> None:
    assert unwrap(b'{"data":%b}' % data) is None


@pytest.mark.parametrize("field", [b'"event":1.5', b'"retry":1.5'])
def test_a_number_is_no_name(field: bytes) -> None:
    assert unwrap(b'{"data":"x",%b}' % field) is None


def test_a_number_is_no_id_of_a_cloud_event() -> None:
    assert unwrap(b'{"specversion":"1.0","id":1.5,"source":"s","type":"t","data":1}') is None
