"""A stand-in model in a tool loop: for tests of agents, which ask again with what their tools said.

Contract: `obey` is an entry for the script of `gateway.backends.scripted`. It does what the lines of the last user
message with orders in it say, and answers from the conversation alone:

    call NAME {"argument": 1}    call a tool; the calls of one step are made at once
    then                         the next step begins, once the results of this one are there
    recall                       the answer quotes all results of the conversation, not only those since this message

The answer quotes the tools' results in their order, joined with " | ". A conversation in which a call has no result,
or a result no call, is refused with 400, as a vendor's endpoint does; without tools nothing is called, since agents ask
for titles and summaries of the same words. It knows no language and no tool.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from gateway.backends.scripted import Act

IDLE = "There is nothing to do."
_ORDER = re.compile(r"^[ \t]*(?:call (?P<name>\S+) (?P<arguments>\{.*\})|(?P<word>then|recall))[ \t]*$", re.MULTILINE)

Messages = Sequence[dict[str, Any]]


class _Orders(msgspec.Struct):
    """What a message wants: steps of calls to make at once, and whether the answer quotes all there was before."""

    steps: list[list[tuple[str, str]]]
    recall: bool = False


def obey(body: dict[str, Any]) -> Act:
    """The next turn of a request's conversation."""
    messages: Messages = body["messages"]
    problem = _unanswered(messages)
    if problem:
        return Act(
            status=400, body=msgspec.json.encode({"error": {"message": problem, "type": "invalid_request_error"}})
        )
    at, orders = _last_orders(messages if body.get("tools") else [])
    since = messages[at + 1 :]
    done = sum(bool(message.get("tool_calls")) for message in since)
    if done < len(orders.steps):
        return Act(calls=orders.steps[done])
    results = [_text(message) for message in (messages if orders.recall else since) if message["role"] == "tool"]
    return Act(text=" | ".join(results) or IDLE, pieces=3)


def _last_orders(messages: Messages) -> tuple[int, _Orders]:
    """The latest message of the user's that orders something, and what."""
    for at in range(len(messages) - 1, -1, -1):
        if messages[at]["role"] == "user" and (found := list(_ORDER.finditer(_text(messages[at])))):
            return at, _read(found)
    return len(messages), _Orders([])


def _read(found: Sequence[re.Match[str]]) -> _Orders:
    orders = _Orders([[]])
    for order in found:
        if order["name"]:
            orders.steps[-1].append((order["name"], order["arguments"]))
        elif order["word"] == "then":
            orders.steps.append([])
        else:
            orders.recall = True
    orders.steps = [step for step in orders.steps if step]
    return orders


def _unanswered(messages: Messages) -> str:
    """What is wrong with the calls and results of a history; empty when nothing is."""
    open_calls: list[str] = []
    for message in messages:
        if message["role"] == "tool":
            if message.get("tool_call_id") not in open_calls:
                return f"a result for {message.get('tool_call_id')}, which was not called just before"
            open_calls.remove(message["tool_call_id"])
        elif open_calls:
            return f"no result for the calls {', '.join(open_calls)}"
        else:
            open_calls = [call["id"] for call in message.get("tool_calls") or ()]
    return f"no result for the calls {', '.join(open_calls)}" if open_calls else ""


def _text(message: dict[str, Any]) -> str:
    content = message.get("content") or ""
    if isinstance(content, str):
        return content
    return "\n".join(part.get("text", "") for part in content)
