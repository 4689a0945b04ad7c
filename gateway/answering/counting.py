"""How many tokens a request is: asked of the model that would read it, or estimated.

Owns who is asked. Knows nothing of wires.
"""

from __future__ import annotations

import msgspec

from gateway.answering.arms import Arm
from gateway.errors import BackendError
from router.chat import ChatRequest

_CHARACTERS_PER_TOKEN = 3.5  # of code and English; a little low, so that an estimate is rather too high
_TOKENS_PER_MESSAGE = 4  # what templates put around one


class Count(msgspec.Struct, frozen=True):
    """`exact`: counted with the template and tokenizer of a model that may answer."""

    tokens: int
    exact: bool


async def count(request: ChatRequest, arms: list[Arm]) -> Count:
    """The prompt tokens of a request, by the first of `arms` that can tell, else by its length."""
    for arm in arms:
        if arm.up and arm.local:
            body = {"model": arm.model, "messages": request.messages, "tools": request.tools or []}
            try:
                told = msgspec.json.decode(await arm.backend.call("POST", "/../tokenize", body))
                return Count(int(told["count"]), exact=True)
            except (BackendError, msgspec.DecodeError, LookupError, TypeError, ValueError):
                continue
    return Count(estimate(request), exact=False)


def estimate(request: ChatRequest) -> int:
    """The prompt tokens of a request, by its length."""
    characters = len(msgspec.json.encode([request.messages, request.tools or []]))
    return tokens_in(characters) + _TOKENS_PER_MESSAGE * len(request.messages)


def tokens_in(characters: int) -> int:
    """About how many tokens so many characters are."""
    return round(characters / _CHARACTERS_PER_TOKEN)
