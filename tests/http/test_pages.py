"""The pages of a site beside the streams, where the site itself fails."""

import pytest
from django.core.exceptions import BadRequest

from relay.http.pages import Pages
from relay.types import Message, Receive, Scope, Send

SCOPE = {"type": "http", "headers": []}


async def receive() -> Message:
    return {"type": "http.request", "body": b""}


class Sent(list[Message]):
    async def __call__(self, message: Message) -> None:
        self.append(message)


@pytest.mark.parametrize(
    "error", [UnicodeError("charset"), ValueError("params"), BadRequest("kind")]
)
async def test_a_request_that_django_cannot_read_is_a_400(error: Exception) -> None:
    async def site(scope: Scope, receive: Receive, send: Send) -> None:
        raise error

    sent = Sent()
    await Pages(site)(SCOPE, receive, sent)
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    assert sent[0]["status"] == 400
    assert b"A header of the request cannot be read." in sent[1]["body"]


async def test_an_error_in_the_middle_of_a_response_is_the_servers_affair() -> None:
    async def site(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise BadRequest("late")

    sent = Sent()
    with pytest.raises(BadRequest, match="late"):
        await Pages(site)(SCOPE, receive, sent)
    assert [message["type"] for message in sent] == ["http.response.start"]
