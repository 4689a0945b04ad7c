"""OpenCode, which speaks chat completions: its own read tool, and a session that is continued."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.clients.agent import Place
from tests.clients.loop import Loop, orders

pytestmark = pytest.mark.clients


def test_a_session(loop: Loop, place: Place) -> None:
    def ask(said: str, *options: str) -> list[dict[str, Any]]:
        told = place.run(loop.gateway, loop.model, "opencode", "run", "--format", "json", *options, said=said)
        return [json.loads(line) for line in told.splitlines()]

    question, follow_up = orders("read", lambda name: {"filePath": str(place.repository / name)})
    first = ask(question)
    second = ask(follow_up, "--session", first[0]["sessionID"])
    answers = [events[-2]["part"]["text"] for events in (first, second)]
    a, b, missing = answers[0].split(" | ")
    assert ("1: one" in a, "1: two" in b, "File not found" in missing) == (True, True, True)
    assert answers[1].startswith(f"{answers[0]} | ")
    assert "1: three" in answers[1]
    used = [event["part"]["tokens"] for event in first + second if event["type"] == "step_finish"]
    loop.check_traces(wire="chat", usage=(sum(one["input"] for one in used), sum(one["output"] for one in used)))
