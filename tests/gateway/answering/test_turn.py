"""What a conversation is called where no header says so."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.answering.turn import conversation_of
from router.chat import ChatRequest, FunctionSpec, Message, Tool


def request(
    text: str = "Where?", metadata: dict[str, Any] | None = None, tools: list[Tool] | None = None
) -> ChatRequest:
    return ChatRequest("m", [Message("system", "s"), Message("user", text)], tools=tools, metadata=metadata)


@pytest.mark.parametrize("name", ["conversation", "conversation_id", "session_id", "thread_id"])
def test_metadata_names_it(name: str) -> None:
    assert conversation_of(request(metadata={name: "mine", "other": "x"})) == "mine"
    assert len(conversation_of(request(metadata={name: "x" * 1000}))) == 200


def test_else_its_beginning_does() -> None:
    one = conversation_of(request())
    longer = ChatRequest("m", [*request().messages, Message("assistant", "There."), Message("user", "And then?")])
    assert conversation_of(longer) == one == conversation_of(request(metadata={"session_id": ""}))
    assert conversation_of(request("What?")) != one
    assert conversation_of(request(tools=[Tool(FunctionSpec("search"))])) != one
