"""What is learnt is, token for token, what was served: on days that the engine recorded, and for any conversation."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distill.dataset import Example
from distill.render import Renderer
from distill.served_tokens import rendered_anew, token_faults
from distill.trace import Served, Trace
from distill.trajectory import trajectories
from gateway.engine.chat import answer, prepare
from gateway.engine.scripted import ScriptedGenerator
from gateway.engine.served import ServedModel
from router.chat import FunctionCall, FunctionSpec, Message, Tool, ToolCall, parse_request
from router.decision import Decision

pytestmark = pytest.mark.model

_SCHEMA = {"type": "object", "properties": {"pattern": {"type": "string"}, "deep": {"type": "object"}}}
_TOOLS = [Tool(FunctionSpec("grep", "Search.", _SCHEMA)), Tool(FunctionSpec("find", "<|im_start|>"))]


def calling(name: str, **arguments: Any) -> str:
    called = json.dumps({"name": name, "arguments": arguments}, ensure_ascii=False)
    return f"<tool_call>\n{called}\n</tool_call>"


# What the engine answers, by what its prompt holds last; the marks are what tools and user say.
_SCRIPT = [
    ("AGAIN", "It is\n\nin `b.py`, <tools> and all. 🎉"),
    ("SECOND", "Both are in a.py: é, 日本, x<y && z."),
    ("FIRST", calling("grep", pattern='def "x"\\s*\\(', deep={"a": [1, None, "é\n"]}) + "\n" + calling("find")),
    ("START", "I look.\n" + calling("grep", pattern="класс")),
]
_SAID = [["START: where?"], ["FIRST <|im_end|>"], ["SECOND", "more"], ["AGAIN, please."]]
_FENCED = 'Sure:\n```json\n{"name": "grep", "arguments": {"pattern": "x"}}\n```'


async def recorded(served: ServedModel, said: Sequence[Sequence[str]], conversation: str = "c") -> list[Trace]:
    """The traces of one conversation: `said` are the user's words or the results of the calls made last."""
    messages, traces = [Message("system", "Look around.")], []
    for number, texts in enumerate(said):
        calls = messages[-1].tool_calls or []
        if calls:
            messages += [Message("tool", text, tool_call_id=c.id) for c, text in zip(calls, texts, strict=False)]
        else:
            messages += [Message("user", text) for text in texts]
        asked = {"messages": msgspec.to_builtins(messages), "tools": msgspec.to_builtins(_TOOLS), "temperature": 0}
        request = parse_request({"model": served.name, **asked, "max_tokens": 200, "return_token_ids": True})
        response = await answer(await prepare(served, request))
        choice = response.choices[0]
        assert response.prompt_token_ids is not None
        assert choice.token_ids is not None
        traces.append(
            Trace(
                id=f"{conversation}/{number}",
                created=float(number),
                conversation=conversation,
                request=request,
                state="completed",
                decision=Decision("student", "verified"),
                answer=choice.message,
                finish_reason=choice.finish_reason,
                served=Served(response.prompt_token_ids, choice.token_ids),
                note=response.nightschool,
            )
        )
        messages.append(Message("assistant", choice.message.content, choice.message.tool_calls))
    return traces


def learnt(traces: list[Trace]) -> Example:
    (found,) = trajectories(traces)
    return Example(found.last.conversation, "r", [trace.id for trace in traces], list(found.messages), found.tools)


@pytest.fixture(scope="module")
def renderer(student_folder: Path) -> Renderer:
    return Renderer(student_folder)


@pytest.fixture(scope="module")
def trainer(student_folder: Path) -> Renderer:
    """Another one: who trains has not seen what was served."""
    return Renderer(student_folder)


@pytest.fixture
async def scripted(student_folder: Path) -> AsyncIterator[ServedModel]:
    """The engine with the student's own tokens and template, and a script in the place of its weights."""
    served = ServedModel("student", student_folder)
    served.generator = ScriptedGenerator(student_folder, served.renderer, [*_SCRIPT, ("FENCED", _FENCED)])
    await served.open()
    yield served
    await served.close()


async def test_a_recorded_conversation_is_learnt_as_it_was_served(scripted: ServedModel, renderer: Renderer) -> None:
    traces = await recorded(scripted, _SAID)
    example = learnt(traces)
    assert [len(message.tool_calls or ()) for message in example.messages if message.role == "assistant"] == [
        1,
        2,
        0,
        0,
    ]
    assert token_faults(example, traces, renderer) == []
    assert rendered_anew(traces, renderer) == {}


async def test_what_was_said_in_another_form_is_found(scripted: ServedModel, renderer: Renderer) -> None:
    """The tolerant parser reads a fenced call; the example renders it as the template does."""
    traces = await recorded(scripted, [["FENCED: where?"]])
    (fault,) = token_faults(learnt(traces), traces, renderer)
    assert fault.startswith("c/0: the completion differs at token ")
    assert "<tool_call>" in fault


@pytest.mark.parametrize("part", ["prompt", "completion"])
@pytest.mark.parametrize("at", [0, 3, -1])
async def test_a_single_other_token_is_found(scripted: ServedModel, renderer: Renderer, part: str, at: int) -> None:
    traces = await recorded(scripted, _SAID)
    example = learnt(traces)
    changed = traces[1].served
    assert changed is not None
    ids = [*getattr(changed, part)]
    place = range(len(ids))[at]
    ids[at] += 1
    traces[1] = msgspec.structs.replace(traces[1], served=msgspec.structs.replace(changed, **{part: ids}))
    (fault,) = token_faults(example, traces, renderer)
    assert fault.startswith(f"c/1: the {part} differs at token {place}: served [{ids[at]}")


async def test_a_missing_token_is_found(scripted: ServedModel, renderer: Renderer) -> None:
    traces = await recorded(scripted, _SAID[:1])
    example, kept = learnt(traces), traces[0].served
    assert kept is not None
    cut = Served(kept.prompt[:-1], kept.completion[:-1])
    faults = token_faults(example, [msgspec.structs.replace(traces[0], served=cut)], renderer)
    assert [fault.split(" differs")[0] for fault in faults] == ["c/0: the prompt", "c/0: the completion"]


async def test_another_history_is_found(scripted: ServedModel, renderer: Renderer) -> None:
    traces = await recorded(scripted, _SAID)
    example = learnt(traces)
    messages = [*example.messages]
    messages[1] = Message("user", "START: who?")
    faults = token_faults(msgspec.structs.replace(example, messages=messages), traces, renderer)
    assert len(faults) == len(traces)
    short = msgspec.structs.replace(example, messages=example.messages[:3])
    assert "c/3: its turn is not learnt as one" in token_faults(short, traces, renderer)


async def test_what_has_no_tokens_to_compare_is_marked(scripted: ServedModel, renderer: Renderer) -> None:
    one, two, three, four = await recorded(scripted, _SAID)
    assert four.note is not None
    assert three.note is not None
    traces = [
        msgspec.structs.replace(one, redacted=2, served=None, served_digest="d"),
        msgspec.structs.replace(two, served=None),
        msgspec.structs.replace(three, note=msgspec.structs.replace(three.note, template="another")),
        msgspec.structs.replace(four, note=msgspec.structs.replace(four.note, tokenizer="another")),
    ]
    assert token_faults(learnt(traces), traces, renderer) == []
    assert rendered_anew(traces, renderer) == {
        "c/0": "redacted",
        "c/1": "no tokens kept",
        "c/2": "another template",
        "c/3": "another tokenizer",
    }


_PIECES = st.one_of(
    st.sampled_from(
        ["<|im_end|>", "<|im_start|>assistant\n", "<|endoftext|>", "<tool_call>", "</tool_response>", "<|im_"]
    ),
    st.sampled_from(
        ["\n", "  ", "\t", "\x00", "\ufdd0", "\u2028", "{{ 1 }}", "e\u0301", "👩‍👩‍👧", "x = 1", '{"a": 1}']
    ),
    st.text(max_size=8),
)
_TEXT = st.lists(_PIECES, max_size=5).map("".join)
_JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**53), 2**53), st.floats(allow_nan=False), _TEXT),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(_TEXT, inner, max_size=3)),
    max_leaves=6,
)
_ARGUMENTS = st.one_of(st.dictionaries(_TEXT, _JSON, max_size=3).map(json.dumps), _TEXT)


@st.composite
def conversations(draw: st.DrawFn) -> list[Message]:
    """Turns of every kind that a client may send, ended by an assistant's."""
    messages = [Message(role, draw(_TEXT)) for role in draw(st.sampled_from([[], ["system"], ["developer", "system"]]))]
    for turn in range(draw(st.integers(1, 4))):
        messages += [Message("user", draw(_TEXT)) for _ in range(draw(st.integers(0 if turn else 1, 2)))]
        if draw(st.booleans()):
            messages.append(Message("system", draw(_TEXT)))
        calls = [
            ToolCall(f"c{turn}.{number}", FunctionCall(draw(_TEXT), draw(_ARGUMENTS)))
            for number in range(draw(st.integers(0, 3)))
        ]
        content = draw(st.one_of(st.none(), st.just(""), _TEXT))
        messages.append(Message("assistant", content, calls or None))
        messages += [Message("tool", draw(_TEXT), tool_call_id=call.id) for call in calls]
        if calls:
            messages.append(Message("assistant", draw(_TEXT)))
    return messages


@settings(max_examples=150, deadline=None)
@given(messages=conversations(), with_tools=st.booleans())
def test_a_prompt_begins_with_the_prompt_and_the_answer_before_it(
    renderer: Renderer, trainer: Renderer, messages: list[Message], with_tools: bool
) -> None:
    tools = _TOOLS if with_tools else None
    turns = [at for at, message in enumerate(messages) if message.role == "assistant"]
    said = [segment.ids for segment in trainer.segments(messages, tools) if segment.learnt]
    assert len(said) == len(turns)
    prompts = [renderer.prompt(messages[:at], tools) for at in turns]
    for prompt, answered, following in zip(prompts, said, prompts[1:], strict=False):
        begins = prompt + answered
        assert following[: len(begins)] == begins
