"""Answers and streams made of tokens that are known: the sampler reads them off a script, all else is real."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import mlx.core as mx
import pytest

from gateway.engine.chat import Turn, answer, frames
from gateway.engine.generator import Job
from gateway.engine.sampling import Sampler
from gateway.engine.served import ServedModel
from router.chat import parse_request

CALL = '<tool_call>\n{"name": "grep", "arguments": {"pattern": "é"}}\n</tool_call>'
TOOLS = [{"type": "function", "function": {"name": "grep", "parameters": {"type": "object"}}}]


def scripted(ids: list[int]) -> Sampler:
    left: Iterator[int] = iter([*ids, *[257] * 4])
    return lambda logprobs: mx.full((logprobs.shape[0],), next(left), dtype=mx.uint32)


def turn(served: ServedModel, text: str, *, limit: int = 300, **more: Any) -> Turn:
    body = {"model": "tiny", "messages": [{"role": "user", "content": "x"}], "tools": TOOLS, **more}
    return Turn(served, parse_request(body), Job([1, 2, 3], limit, scripted(served.renderer.encode(text))))


async def streamed(made: Turn) -> list[dict[str, Any]]:
    events = [frame.decode().removeprefix("data: ").strip() async for frame in frames(made)]
    assert events[-1] == "[DONE]"
    return [json.loads(event) for event in events[:-1]]


async def test_a_call_is_a_call(served: ServedModel) -> None:
    choice = (await answer(turn(served, CALL))).choices[0]
    assert choice.finish_reason == "tool_calls"
    assert choice.message.content is None
    assert choice.message.tool_calls is not None
    [call] = choice.message.tool_calls
    assert (call.function.name, json.loads(call.function.arguments)) == ("grep", {"pattern": "é"})


async def test_a_streamed_call_comes_in_openais_deltas(served: ServedModel) -> None:
    asked = {"logprobs": True, "return_token_ids": True, "stream_options": {"include_usage": True}}
    made = turn(served, f"I look.\n{CALL}\n{CALL}", **asked)
    chunks = await streamed(made)
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks if chunk["choices"]]
    assert deltas[0] == {"role": "assistant", "content": ""}
    assert "".join(delta.get("content", "") for delta in deltas) == "I look."
    calls = [delta["tool_calls"][0] for delta in deltas if "tool_calls" in delta]
    assert [call["index"] for call in calls] == [0, 0, 1, 1]
    for head, arguments in zip(calls[::2], calls[1::2], strict=True):
        assert set(head) == {"index", "id", "type", "function"}
        assert head["function"] == {"name": "grep", "arguments": ""}
        assert set(arguments) == {"index", "function"}
        assert json.loads(arguments["function"]["arguments"]) == {"pattern": "é"}
    assert calls[0]["id"] != calls[2]["id"]
    assert chunks[-2]["choices"][0]["finish_reason"] == "tool_calls"
    assert chunks[-2]["nightschool"]["raw"] == f"I look.\n{CALL}\n{CALL}"
    assert chunks[-1]["usage"]["completion_tokens"] == len(made.ids)
    ids = [i for chunk in chunks for choice in chunk["choices"] for i in choice.get("token_ids", [])]
    logprobs = [p for chunk in chunks for c in chunk["choices"] for p in c.get("logprobs", {}).get("content", [])]
    assert ids == made.ids
    assert len(logprobs) == len(ids)


async def test_length_wins_over_tool_calls(served: ServedModel) -> None:
    cut = (await answer(turn(served, CALL, limit=len(CALL) - 30))).choices[0]
    assert cut.finish_reason == "length"
    assert cut.message.tool_calls is None
    assert CALL.startswith(cut.message.content or "-")
    both = (await answer(turn(served, CALL + "\n" + CALL, limit=len(CALL) + 20))).choices[0]
    assert both.finish_reason == "length"
    assert len(both.message.tool_calls or []) == 1


async def test_a_broken_call_stays_text(served: ServedModel) -> None:
    broken = CALL.replace("}}", "}")
    choice = (await answer(turn(served, broken))).choices[0]
    assert (choice.finish_reason, choice.message.content, choice.message.tool_calls) == ("stop", broken, None)


@pytest.mark.parametrize("more", [{"tools": None}, {"tool_choice": "none"}])
async def test_without_tools_text_is_text(served: ServedModel, more: dict[str, Any]) -> None:
    assert (await answer(turn(served, CALL, **more))).choices[0].message.content == CALL


@pytest.mark.parametrize(
    "text", ["", " x ", "a ``` b", "```json\n{}\n```", "5 < 7 {x} [y]", "日本 é 🎓", f"é\n{CALL} after ", "<tool_cal"]
)
async def test_a_stream_says_what_the_whole_says(served: ServedModel, text: str) -> None:
    whole = (await answer(turn(served, text))).choices[0].message
    deltas = [chunk["choices"][0]["delta"] for chunk in await streamed(turn(served, text))]
    assert "".join(delta.get("content") or "" for delta in deltas) == (whole.content or "")
    assert sum("id" in c for delta in deltas for c in delta.get("tool_calls", [])) == len(whole.tool_calls or [])
