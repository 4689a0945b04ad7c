"""POST /v1/embeddings: handed on as it is.

Owns what is checked of a request. Knows nothing of who makes embeddings.
"""

from __future__ import annotations

from typing import Any, cast

from litestar import asgi
from litestar.types import HTTPScope, Receive, Scope, Send

from gateway.access.limits import deadline_in
from gateway.answering.embeddings import embed
from gateway.api.exchange import entered, while_connected
from gateway.api.replies import ClientGone, read_json, renounced, send_error, send_json
from gateway.errors import MethodNotAllowed
from gateway.service import Gateway
from router.chat import InvalidRequest


@asgi("/v1/embeddings", copy_scope=False)
async def embeddings(scope: Scope, receive: Receive, send: Send) -> None:
    gateway: Gateway = scope["litestar_app"].state.gateway
    try:
        if cast(HTTPScope, scope)["method"] != "POST":
            raise MethodNotAllowed("Use POST.", allow="POST")
        async with entered(gateway, scope, receive) as client:
            limits = gateway.settings.gateway
            async with gateway.under_way.until(deadline_in(limits.max_seconds)):
                asked = _checked((await read_json(scope, receive, limits.max_body_bytes))[1])
                who = gateway.names.resolve(asked["model"], client.may_ask_for)
                async with while_connected(receive):
                    answer = await embed(asked, who, renounced(scope, client.rights), gateway.crew)
            await send_json(send, 200, answer.body, [(b"x-nightschool-served-by", answer.arm.encode())])
    except ClientGone:
        return
    except Exception as error:  # noqa: BLE001 - the edge of a request, as in exchange
        await send_error(send, error)


def _checked(body: Any) -> dict[str, Any]:
    if not isinstance(body, dict):
        raise InvalidRequest("The request body must be a JSON object.")
    if not isinstance(body.get("model"), str):
        raise InvalidRequest("'model' must be the name of a model.", "model")
    if not body.get("input") or not isinstance(body["input"], str | list):
        raise InvalidRequest("'input' must be a text, or a list of texts or of tokens.", "input")
    return body
