"""Codex CLI, which speaks responses: its own exec_command tool, and a session that is resumed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.clients.agent import Place
from tests.clients.loop import Loop, orders

pytestmark = pytest.mark.clients

# It would ask, and a container often lacks what its sandbox is made of; all it is told to run is `cat`.
OPTIONS = ["--json", "--dangerously-bypass-approvals-and-sandbox"]


def test_a_session(loop: Loop, place: Place) -> None:
    def ask(*said: str) -> dict[str, Any]:
        lines = place.run(loop.gateway, loop.model, "codex", "exec", *said).splitlines()
        events = [json.loads(line) for line in lines if line.startswith("{")]
        told = {event["item"]["type"]: event["item"] for event in events if event["type"] == "item.completed"}
        return {**events[0], **events[-1], "answer": told["agent_message"]["text"]}

    question, follow_up = orders("exec_command", lambda name: {"cmd": f"cat {name}"})
    first = ask(*OPTIONS, question)
    second = ask("resume", *OPTIONS, first["thread_id"], follow_up)
    a, b, missing = first["answer"].split(" | ")
    assert (a.splitlines()[-1], b.splitlines()[-1]) == ("one", "two")
    assert "exited with code 1" in missing
    assert second["answer"].startswith(f"{first['answer']} | ")
    assert second["answer"].endswith("three\n")
    usage = second["usage"]  # of the whole session
    traces = loop.check_traces(wire="responses", usage=(usage["input_tokens"], usage["output_tokens"]))
    assert {trace.conversation for trace in traces} == {first["thread_id"]}
