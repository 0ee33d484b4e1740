"""What the views that answer JSON have in common."""

import json
from typing import Any

from django.test import AsyncClient


async def get_json(
    path: str, client: AsyncClient | None = None, /, **headers: str
) -> tuple[int, Any]:
    """The status and the answer, or the words of a refusal. Checks that nobody keeps or embeds it."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    response = await (client or AsyncClient()).get(path, headers=names)
    assert response["Cache-Control"] == "no-store"
    assert response["X-Frame-Options"] == "DENY"
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["Cross-Origin-Resource-Policy"] == "same-origin"
    answer = json.loads(response.content)
    return response.status_code, answer.get("detail", answer)
