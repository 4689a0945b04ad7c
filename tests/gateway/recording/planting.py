"""Requests over every wire with something planted in every field that can carry it.

`bodies` draws for each field the next kind of secret, as somebody would write it, so that nothing else in the request
gives it away.
"""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Callable, Iterator
from typing import Any

from router.decision import STUDENT_CALL
from tests.distill.redact.planted import KINDS

Plant = Callable[[], str]
FIRST, SECOND = f"{STUDENT_CALL}1", f"{STUDENT_CALL}2"  # calls of a student, which is asked again then


class Garden:
    """Texts with secrets of all kinds in turn. `planted` is what must be found nowhere, by the text that holds it."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)
        self._kinds = itertools.cycle(KINDS.items())
        self.planted: dict[str, tuple[str, str]] = {}  # text: kind and secret

    def plant(self) -> str:
        name, kind = next(self._kinds)
        text, secret = kind(self._rng)
        self.planted[text] = (name, secret)
        return text

    def plant_in_a_line(self, most: int = 180) -> str:
        """For what must stand in a header."""
        while True:
            name, kind = next(self._kinds)
            text, secret = kind(self._rng)
            if text.isprintable() and text.isascii() and len(text) <= most:
                self.planted[text] = (name, secret)
                return text

    @property
    def secrets(self) -> set[str]:
        return {secret for _, secret in self.planted.values()}


def tool(plant: Plant, name: str = "write") -> dict[str, Any]:
    properties = {"path": {"type": "string"}, "mode": {"type": "string", "default": plant(), "description": plant()}}
    schema = {"type": "object", "properties": properties}
    return {"type": "function", "function": {"name": name, "description": plant(), "parameters": schema}}


def arguments(plant: Plant) -> str:
    return json.dumps({"path": "notes.txt", "content": f"1\n{plant()}"})


def chat(plant: Plant) -> dict[str, Any]:
    call = {"id": FIRST, "type": "function", "function": {"name": "write", "arguments": arguments(plant)}}
    broken = {"id": SECOND, "type": "function", "function": {"name": "write", "arguments": f'{{"path": {plant()}'}}
    return {
        "messages": [
            {"role": "system", "content": f"You help.\n{plant()}\nBe brief."},
            {"role": "user", "content": plant(), "name": plant()},
            {"role": "assistant", "content": plant(), "tool_calls": [call, broken], "reasoning_content": plant()},
            {"role": "tool", "tool_call_id": FIRST, "content": json.dumps({"out": f"1: {plant()}\n"})},
            {"role": "tool", "tool_call_id": SECOND, "content": f"no such file\n{plant()}"},
            {"role": "user", "content": [{"type": "text", "text": plant()}, {"type": "text", "text": "Go on."}]},
        ],
        "tools": [tool(plant)],
        "stop": [plant()],
        "user": plant(),
        "metadata": {"note": plant(), plant(): "key"},
        "x_unknown": {"a": [{"b": plant()}]},
    }


def responses(plant: Plant) -> dict[str, Any]:
    return {
        "instructions": plant(),
        "input": [
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": plant()}]},
            {"type": "reasoning", "summary": [{"type": "summary_text", "text": plant()}]},
            {"type": "function_call", "call_id": FIRST, "name": "write", "arguments": arguments(plant)},
            {"type": "function_call_output", "call_id": FIRST, "output": plant()},
            {"type": "message", "role": "user", "content": plant()},
        ],
        "tools": [{"type": "function", **tool(plant)["function"], "strict": False}],
        "metadata": {"note": plant()},
        "safety_identifier": plant(),
        "x_unknown": [plant()],
    }


def messages(plant: Plant) -> dict[str, Any]:
    function = tool(plant)["function"]
    given = {"name": "write", "description": function["description"], "input_schema": function["parameters"]}
    called = {"type": "tool_use", "id": FIRST, "name": "write", "input": json.loads(arguments(plant))}
    return {
        "max_tokens": 100,
        "system": [{"type": "text", "text": plant()}],
        "messages": [
            {"role": "user", "content": plant()},
            {"role": "assistant", "content": [{"type": "thinking", "thinking": plant(), "signature": "s"}, called]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": FIRST, "content": plant()}]},
            {"role": "user", "content": plant()},
        ],
        "tools": [given],
        "stop_sequences": [plant()],
        "metadata": {"user_id": plant()},
        "x_unknown": {"deep": {"er": plant()}},
    }


def completions(plant: Plant) -> dict[str, Any]:
    return {"prompt": plant(), "user": plant(), "stop": [plant()], "metadata": {"note": plant()}}


WIRES: dict[str, Callable[[Plant], dict[str, Any]]] = {
    "/v1/chat/completions": chat,
    "/v1/responses": responses,
    "/v1/messages": messages,
    "/v1/completions": completions,
}


def bodies(garden: Garden, rounds: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """For each round and wire a path and a body; every second one is streamed."""
    for number in range(rounds):
        for at, (path, made) in enumerate(WIRES.items()):
            yield path, {"model": "nightschool", "stream": (number + at) % 2 == 1, **made(garden.plant)}


def said_last(body: dict[str, Any]) -> str:
    """What the user said last, as a chat completion has it."""
    content = next(message["content"] for message in reversed(body["messages"]) if message["role"] == "user")
    return content if isinstance(content, str) else "\n".join(part.get("text", "") for part in content)
