"""Traces for tests of the store: conversations that grow turn by turn."""

from __future__ import annotations

from typing import Any

from distill.trace import Served, Trace
from router.chat import AnswerMessage, ChatRequest, FunctionCall, FunctionSpec, Message, Tool, ToolCall, Usage
from router.decision import Decision

TOOLS = [Tool(FunctionSpec("search", "Looks for a pattern.", {"type": "object"}))]


def trace(name: str, conversation: str = "c", **more: Any) -> Trace:
    given: dict[str, Any] = {
        "created": 1.5,
        "request": ChatRequest("nightschool", [Message("user", "Where?")]),
        "answer": AnswerMessage("Here."),
        "decision": Decision(arm="student", reason="verified", scores={"confidence": 0.9}),
        **more,
    }
    return Trace(id=name, conversation=conversation, state="completed", **given)


def grown(name: str, turns: int, *, client: str = "", start: float = 100.0, words: str = "handler") -> list[Trace]:
    """One conversation's traces: each turn asks with all that was said before, and calls a tool but for the last."""
    messages = [Message("system", "You explore code."), Message("user", f"Where is the {words} of {name}?")]
    ids = list(range(50))
    found = []
    for turn in range(turns):
        last = turn == turns - 1
        call = ToolCall(f"call-{turn}", FunctionCall("search", f'{{"pattern":"{words}{turn}"}}'))
        answer = AnswerMessage(f"It is in {name}.py.") if last else AnswerMessage(tool_calls=[call])
        said = list(range(1000 * turn, 1000 * turn + 7))
        found.append(
            trace(
                f"{name}-{turn}",
                name,
                created=start + turn,
                client=client,
                turn=turn,
                request=ChatRequest("nightschool", list(messages), TOOLS),
                answer=answer,
                served=Served(list(ids), said),
                usage=Usage(len(ids), len(said), len(ids) + len(said)),
                seconds={"total": 0.5},
                wire_id=f"chatcmpl-{name}-{turn}",
            )
        )
        messages += [
            Message("assistant", answer.content, answer.tool_calls),
            Message("tool", f"{words} stands in line {turn}", tool_call_id=call.id),
        ]
        ids += [*said, 7, 8, 9]
    return found
