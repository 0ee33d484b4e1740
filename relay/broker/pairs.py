"""Answers of Redis that list names and values by turns."""

from typing import Any


def read_pairs(answer: Any) -> dict[str, str]:
    """Returns the values by name. Some versions of redis-py have read such an answer already."""
    pairs = (
        answer.items() if isinstance(answer, dict) else zip(answer[::2], answer[1::2], strict=True)
    )
    return {_text(key): _text(value) for key, value in pairs}


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
