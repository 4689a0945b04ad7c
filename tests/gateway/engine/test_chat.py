"""Requests into answers and streams, by tokens that are known: the generation side plays a script, all else is real."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.engine.chat import Turn, answer, frames, prepare
from gateway.engine.errors import EngineDown, NotSupported
from gateway.engine.reading import Parsed
from gateway.engine.scripted import ScriptedGenerator
from gateway.engine.served import ServedModel
from router.chat import InvalidRequest, Message, parse_request

CALL = '<tool_call>\n{"name": "grep", "arguments": {"pattern": "é"}}\n</tool_call>'
TOOLS = [{"type": "function", "function": {"name": "grep", "parameters": {"type": "object"}}}]
ASK: dict[str, Any] = {"model": "tiny", "messages": [{"role": "user", "content": "x"}]}
WITH_TOOLS = {**ASK, "tools": TOOLS}

Saying = Callable[[str], Awaitable[ServedModel]]


@pytest.fixture
def saying(tiny: Path) -> Saying:
    """Makes the tiny model answer everything with one text."""

    async def make(text: str, folder: Path = tiny) -> ServedModel:
        served = ServedModel("tiny", folder)
        served.generator = ScriptedGenerator(folder, served.renderer, [("", text)], logprob=-0.5)
        await served.open()
        return served

    return make


async def turn(served: ServedModel, body: dict[str, Any] = WITH_TOOLS, **more: Any) -> Turn:
    return await prepare(served, parse_request({**body, **more}))


async def streamed(made: Turn) -> list[dict[str, Any]]:
    events = [frame.decode().removeprefix("data: ").strip() async for frame in frames(made)]
    assert events[-1] == "[DONE]"
    return [json.loads(event) for event in events[:-1]]


def gathered(chunks: list[dict[str, Any]], index: int = 0) -> Parsed:
    """What a client makes of the deltas of one choice."""
    parsed, arguments = Parsed(), dict[int, str]()
    for choice in (choice for chunk in chunks for choice in chunk["choices"] if choice["index"] == index):
        parsed.content += choice["delta"].get("content") or ""
        parsed.reasoning += choice["delta"].get("reasoning_content") or ""
        for call in choice["delta"].get("tool_calls", []):
            arguments[call["index"]] = arguments.get(call["index"], "") + call["function"]["arguments"]
    assert all(isinstance(json.loads(text), dict) for text in arguments.values())
    assert list(arguments) == list(range(len(arguments)))
    return parsed


async def test_a_call_is_a_call(saying: Saying) -> None:
    choice = (await answer(await turn(await saying(CALL)))).choices[0]
    assert choice.finish_reason == "tool_calls"
    assert choice.message.content is None
    assert choice.message.tool_calls is not None
    [call] = choice.message.tool_calls
    assert (call.function.name, json.loads(call.function.arguments)) == ("grep", {"pattern": "é"})


async def test_a_streamed_call_comes_in_openais_deltas(saying: Saying) -> None:
    asked = {"logprobs": True, "return_token_ids": True, "stream_options": {"include_usage": True}}
    made = await turn(await saying(f"I look.\n{CALL}\n{CALL}"), **asked)
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
    tokens = [token.id for token in made.candidates[0].tokens]
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"]["completion_tokens"] == len(tokens)
    assert chunks[-1]["usage"]["prompt_tokens_details"] == {"cached_tokens": 0}
    assert all(chunk["usage"] is None for chunk in chunks[:-1])
    ids = [i for chunk in chunks for choice in chunk["choices"] for i in choice.get("token_ids", [])]
    logprobs = [p for chunk in chunks for c in chunk["choices"] for p in c.get("logprobs", {}).get("content", [])]
    assert ids == tokens
    assert len(logprobs) == len(ids)


async def test_a_call_is_streamed_before_the_turn_is_over(saying: Saying) -> None:
    chunks = await streamed(await turn(await saying(f"{CALL}\nDone.")))
    kinds = [next(iter(chunk["choices"][0]["delta"]), "end") for chunk in chunks]
    assert kinds == ["role", "tool_calls", "tool_calls", *["content"] * 5, "end"]


async def test_length_wins_over_tool_calls(saying: Saying) -> None:
    cut = (await answer(await turn(await saying(CALL), max_tokens=len(CALL) - 30))).choices[0]
    assert cut.finish_reason == "length"
    assert cut.message.tool_calls is None
    assert CALL.startswith(cut.message.content or "-")
    both = (await answer(await turn(await saying(f"{CALL}\n{CALL}"), max_tokens=len(CALL) + 20))).choices[0]
    assert both.finish_reason == "length"
    assert len(both.message.tool_calls or []) == 1


async def test_a_broken_call_stays_text(saying: Saying) -> None:
    broken = CALL.replace("}}", "}")
    choice = (await answer(await turn(await saying(broken)))).choices[0]
    assert (choice.finish_reason, choice.message.content, choice.message.tool_calls) == ("stop", broken, None)


@pytest.mark.parametrize("body", [ASK, {**WITH_TOOLS, "tool_choice": "none"}])
async def test_without_tools_text_is_text(saying: Saying, body: dict[str, Any]) -> None:
    assert (await answer(await turn(await saying(CALL), body))).choices[0].message.content == CALL


@pytest.mark.parametrize(
    "text", ["", " x ", "a ``` b", "```json\n{}\n```", "5 < 7 {x} [y]", "日本 é 🎓", f"é\n{CALL} after ", "<tool_cal"]
)
async def test_a_stream_says_what_the_whole_says(saying: Saying, text: str) -> None:
    served = await saying(text)
    whole = (await answer(await turn(served))).choices[0]
    chunks = await streamed(await turn(served))
    assert gathered(chunks).content == (whole.message.content or "")
    heads = [c for chunk in chunks for c in chunk["choices"][0]["delta"].get("tool_calls", []) if "id" in c]
    assert len(heads) == len(whole.message.tool_calls or [])
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks][-1] == whole.finish_reason


async def test_one_call_at_a_time_ends_with_the_first(saying: Saying) -> None:
    served = await saying(f"Look. {CALL}\n{CALL} more")
    made = await turn(served, parallel_tool_calls=False)
    choice = (await answer(made)).choices[0]
    assert (choice.finish_reason, choice.message.content) == ("tool_calls", "Look.")
    assert len(choice.message.tool_calls or []) == 1
    assert len(made.candidates[0].tokens) == len(f"Look. {CALL}".encode())
    chunks = await streamed(await turn(served, parallel_tool_calls=False))
    assert sum("tool_calls" in chunk["choices"][0]["delta"] for chunk in chunks) == 2


async def test_several_choices_stand_side_by_side(saying: Saying) -> None:
    served = await saying("One, two.")
    made = await turn(served, n=3, seed=5)
    whole = await answer(made)
    assert [(c.index, c.message.content, c.finish_reason) for c in whole.choices] == [
        (index, "One, two.", "stop") for index in range(3)
    ]
    assert whole.usage is not None
    assert whole.usage.prompt_tokens == len(made.prompt)
    assert whole.usage.completion_tokens == 3 * 10
    seeds = [job.sampling.seed for job in made.jobs]
    assert seeds[0] == 5
    assert len(set(seeds)) == 3
    assert seeds == [job.sampling.seed for job in (await turn(served, n=3, seed=5)).jobs]
    chunks = await streamed(await turn(served, n=3))
    assert [gathered(chunks, index).content for index in range(3)] == ["One, two."] * 3
    ends = [chunk["choices"][0]["index"] for chunk in chunks if chunk["choices"][0]["finish_reason"]]
    assert sorted(ends) == [0, 1, 2]
    assert {chunk["choices"][0]["index"] for chunk in chunks[3:9]} == {0, 1, 2}


def thinking(folder: Path, place: Path) -> Path:
    """The same model with a template that knows thoughts."""
    for file in folder.iterdir():
        (place / file.name).write_bytes(file.read_bytes())
    (place / "chat_template.jinja").write_text((folder / "chat_template.jinja").read_text() + "{#</think>#}")
    return place


async def test_thoughts_come_apart_from_the_answer(saying: Saying, tiny: Path, tmp_path: Path) -> None:
    folder = thinking(tiny, tmp_path)
    served = await saying(f"<think>\nHm.\n</think>\n\nYes.{CALL}", folder)
    message = (await answer(await turn(served))).choices[0].message
    assert (message.reasoning_content, message.content, len(message.tool_calls or [])) == ("Hm.", "Yes.", 1)
    parsed = gathered(await streamed(await turn(served)))
    assert (parsed.reasoning, parsed.content) == ("Hm.", "Yes.")


async def test_the_likeliest_tokens_are_told(saying: Saying) -> None:
    served = await saying("ab")
    for entry in (
        (await answer(await turn(served, logprobs=True, top_logprobs=2))).choices[0].logprobs.content[0],  # type: ignore
        (await streamed(await turn(served, logprobs=True, top_logprobs=2)))[1]["choices"][0]["logprobs"]["content"][0],
    ):
        told = entry if isinstance(entry, dict) else {f: getattr(entry, f) for f in entry.__struct_fields__}
        assert (told["token"], told["logprob"], told["bytes"]) == ("a", -0.5, [97])
        assert [(top["token"], top["logprob"]) for top in told["top_logprobs"]] == [("a", -0.5), ("b", -1.5)]


async def test_every_field_reaches_the_sampling(saying: Saying) -> None:
    wanted = {"temperature": 0.5, "top_p": 0.9, "top_k": 7, "min_p": 0.1, "presence_penalty": -1, "seed": 2**64 + 3,
              "frequency_penalty": 1.5, "repetition_penalty": 1.1, "logit_bias": {"65": -100, "66": 2.5}}  # fmt: skip
    [job] = (await turn(await saying(""), **wanted)).jobs
    got = job.sampling
    assert (got.temperature, got.top_p, got.top_k, got.min_p) == (0.5, 0.9, 7, 0.1)
    assert (got.presence_penalty, got.frequency_penalty, got.repetition_penalty) == (-1, 1.5, 1.1)
    assert got.logit_bias == {65: -100, 66: 2.5}
    assert got.seed == (2**64 + 3) % 2**63
    assert (await turn(await saying(""), top_k=-1)).jobs[0].sampling.top_k == 0


async def test_a_jobs_limit_is_what_the_context_leaves(saying: Saying) -> None:
    served = await saying("")
    made = await turn(served, ASK)
    assert made.jobs[0].max_tokens == served.context - len(made.prompt)
    assert (await turn(served, ASK, max_tokens=7)).jobs[0].max_tokens == 7
    assert (await turn(served, ASK, max_tokens=7, max_completion_tokens=9)).jobs[0].max_tokens == 9
    assert (await turn(served, ASK, max_tokens=10**9)).jobs[0].max_tokens == served.context - len(made.prompt)


async def test_a_job_knows_its_conversation_and_what_others_share_of_its_prompt(saying: Saying) -> None:
    served = await saying("")
    system = {"role": "system", "content": "Be brief."}
    first = {"role": "user", "content": "x"}
    more = [{"role": "assistant", "content": "y"}, {"role": "user", "content": "z"}]
    [one] = (await turn(served, ASK, messages=[system, first])).jobs
    [two] = (await turn(served, ASK, messages=[system, first, *more])).jobs
    [other] = (await turn(served, ASK, messages=[system, {"role": "user", "content": "w"}])).jobs
    assert one.conversation == two.conversation != other.conversation
    assert served.renderer.decode(one.prompt[: one.shared]) == "<|start|>system\nBe brief.<|end|><|start|>user\n"
    assert one.shared == two.shared == other.shared
    named = await prepare(served, parse_request(ASK), conversation="c1", private=True)
    assert (named.jobs[0].conversation, named.jobs[0].private) == ("c1", True)
    assert not one.private


async def test_what_is_ignored_is_named(saying: Saying) -> None:
    asked = {"store": True, "verbosity": "low", "top_k": 3, "user": "me", "evil\r\nheader": 1, "é": 2}
    assert (await turn(await saying(""), ASK, **asked)).ignored == ["store", "verbosity"]


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"n": 0}, "n"),
        ({"n": 129}, "n"),
        ({"top_logprobs": 21, "logprobs": True}, "top_logprobs"),
        ({"top_logprobs": -1, "logprobs": True}, "top_logprobs"),
        ({"top_logprobs": 2}, "top_logprobs"),
        ({"stop": ["a", "b", "c", "d", "e"]}, "stop"),
        ({"presence_penalty": 2.1}, "presence_penalty"),
        ({"frequency_penalty": -3}, "frequency_penalty"),
        ({"frequency_penalty": "much"}, "frequency_penalty"),
        ({"repetition_penalty": 0}, "repetition_penalty"),
        ({"top_k": -2}, "top_k"),
        ({"min_p": 1.5}, "min_p"),
        ({"logit_bias": {"65": 101}}, "logit_bias"),
        ({"logit_bias": {"a": 1}}, "logit_bias"),
        ({"logit_bias": {"260": 1}}, "logit_bias"),
        ({"logit_bias": [1]}, "logit_bias"),
        ({"tools": [*TOOLS, {"type": "web_search"}]}, "tools[1].type"),
        ({"tool_choice": {"type": "function", "function": {"name": "sed"}}}, "tool_choice"),
        ({"tools": None, "tool_choice": "required"}, "tool_choice"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content"),
    ],
)
async def test_what_makes_no_sense_is_refused_by_name(saying: Saying, more: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        await turn(await saying(""), **more)
    assert refused.value.param == param


async def test_a_hosted_tool_is_named(saying: Saying) -> None:
    with pytest.raises(InvalidRequest, match="'web_search_preview'"):
        await turn(await saying(""), tools=[{"type": "web_search_preview"}])


async def test_pictures_are_not_read(saying: Saying) -> None:
    picture = {"type": "image_url", "image_url": {"url": "http://x"}}
    with pytest.raises(NotSupported, match="text only"):
        await turn(await saying(""), messages=[{"role": "user", "content": [picture]}])


class Breaking(ScriptedGenerator):
    """Fails after three tokens."""

    async def run(self, job: Any) -> AsyncIterator[Any]:  # type: ignore[override]
        count = 0
        async for event in super().run(job):
            count += 1
            if count == 5:
                raise EngineDown("out of chalk")
            yield event


async def test_a_stream_that_breaks_says_so_and_is_not_done(tiny: Path) -> None:
    served = ServedModel("tiny", tiny)
    served.generator = Breaking(tiny, served.renderer, [("", "abcdefgh")])
    await served.open()
    events = [frame async for frame in frames(await turn(served, n=2))]
    assert b"out of chalk" in events[-1]
    assert "error" in json.loads(events[-1].removeprefix(b"data: "))
    with pytest.raises(EngineDown, match="out of chalk"):
        await answer(await turn(served, n=2))


def test_thoughts_come_back_under_either_name() -> None:
    for name in ("reasoning_content", "reasoning"):
        body = {**ASK, "messages": [{"role": "assistant", "content": None, name: "Hm."}]}
        [message] = parse_request(body).messages
        assert message == Message("assistant", **{name: "Hm."})


@pytest.mark.parametrize(("floor", "broken"), [(1.0, True), (1e-9, False), (0, False)])
async def test_a_call_breaks_off_where_a_token_is_too_improbable(saying: Saying, floor: float, broken: bool) -> None:
    """The model that says what it is told is nearly sure of each token, and never quite."""
    served = await saying(f"Look. {CALL}\n")
    body = {**WITH_TOOLS, "logprobs": True, "nightschool": {"floor": floor}}
    made = await turn(served, body)
    choice = (await answer(made)).choices[0]
    written = len(made.candidates[0].tokens)
    if broken:
        assert (choice.finish_reason, choice.message.tool_calls) == ("doubtful", None)
        assert written < len(f"Look. {CALL}".encode())
        assert written >= len('Look. <tool_call>{"name": ""')  # words are never broken off
        assert [chunk["choices"][0]["finish_reason"] for chunk in await streamed(await turn(served, body))][
            -1
        ] == "doubtful"
    else:
        assert choice.finish_reason == "tool_calls"


async def test_a_floor_that_is_no_probability_is_refused(saying: Saying) -> None:
    with pytest.raises(InvalidRequest, match=r"nightschool\.floor"):
        await turn(await saying("x"), {**ASK, "nightschool": {"floor": 2}})
