"""Claude Code, which speaks messages: its own Read tool, and a session that is resumed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.clients.agent import Place
from tests.clients.loop import Loop, orders

pytestmark = pytest.mark.clients


def test_a_session(loop: Loop, place: Place) -> None:
    question, follow_up = orders("Read", lambda name: {"file_path": str(place.repository / name)})

    def ask(said: str, *options: str) -> dict[str, Any]:
        told = place.run(
            loop.gateway,
            loop.model,
            "claude",
            "-p",
            said,
            "--output-format",
            "json",
            "--allowedTools",
            "Read",
            *options,
        )
        result: dict[str, Any] = json.loads(told)
        assert (result["subtype"], result["is_error"], result["permission_denials"]) == ("success", False, [])
        return result

    first = ask(question)
    second = ask(follow_up, "--resume", first["session_id"])
    read, missing = first["result"].rsplit(" | ", 1)
    assert sorted(read.split(" | ")) == ["1\tone\n2\t", "1\ttwo\n2\t"]  # in the order in which its tools were done
    assert missing.startswith("Error: File does not exist.")
    assert second["result"] == f"{first['result']} | 1\tthree\n2\t"
    usage = [result["usage"] for result in (first, second)]
    counted = sum(one["input_tokens"] for one in usage), sum(one["output_tokens"] for one in usage)
    traces = loop.check_traces(wire="messages", usage=counted)
    assert {trace.conversation for trace in traces} == {first["session_id"]}
