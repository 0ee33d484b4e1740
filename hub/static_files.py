"""Static files under ASGI, by WhiteNoise."""

import asyncio
from collections.abc import AsyncIterator
from typing import IO, Any

from django.core.handlers.asgi import ASGIRequest
from whitenoise.middleware import WhiteNoiseMiddleware

PIECE_BYTES = 64 * 1024


class StaticFilesMiddleware(WhiteNoiseMiddleware):  # type: ignore[misc]
    """Serves a file in pieces that are read in a thread.

    WhiteNoise alone returns a synchronous response. Under ASGI Django would read it whole into memory,
    and warn each time.
    """

    @staticmethod
    def serve(static_file: Any, request: Any) -> Any:
        response: Any = WhiteNoiseMiddleware.serve(static_file, request)
        if isinstance(request, ASGIRequest):
            response.streaming_content = _pieces(response.file_to_stream)
        return response


async def _pieces(file: IO[bytes] | None) -> AsyncIterator[bytes]:
    """Yields the content of the file. An answer without a body has no file."""
    while file and (piece := await asyncio.to_thread(file.read, PIECE_BYTES)):
        yield piece
