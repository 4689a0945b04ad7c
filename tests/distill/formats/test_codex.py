"""Sessions of Codex: calls in a row, a rollback, a compaction, and the bare lines of 2025."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from distill.trace import Trace
from router.chat import AnswerMessage, FunctionCall, Message, ToolCall, Usage

Whole = Callable[[str], list[Trace]]
SAMPLE = "rollout-codex.jsonl"


def said(trace: Trace) -> list[tuple[str, str]]:
    return [(message.role, message.text) for message in trace.request.messages]


def test_a_session_and_what_it_tells_of_its_place(whole: Whole) -> None:
    found = whole(SAMPLE)
    assert [(trace.conversation, trace.turn) for trace in found] == [
        ("th-1", 0),
        ("th-1", 1),
        ("th-1", 2),
        ("th-1.1", 2),  # an answer was rolled back
        ("th-1.2", 0),  # the conversation was compacted
    ]
    assert found[0].request.metadata == {
        "repository": "kiln",
        "folder": "/home/ann/kiln/src",
        "commit": "4f2a9c1",
        "branch": "main",
        "tools_inferred": True,
    }
    assert {trace.model for trace in found} == {"gpt-6-codex"}
    assert {trace.wire for trace in found} == {"codex"}
    assert [tool.function.name for tool in found[-1].request.tools or ()] == ["apply_patch", "shell"]


def test_what_the_model_said_in_a_row_is_one_answer(whole: Whole) -> None:
    first, second, *_ = whole(SAMPLE)
    assert said(first) == [
        ("system", "You fire pots."),
        ("system", "Ask before you write."),
        ("user", "<environment_context>\n  <cwd>/home/ann/kiln/src</cwd>\n</environment_context>"),
        ("user", "How hot is cone 6?\n[image]"),
    ]
    assert first.answer == AnswerMessage(
        "I will look.",
        [
            ToolCall("c1", FunctionCall("shell", '{"command":["cat","cones.txt"]}')),
            ToolCall("c2", FunctionCall("apply_patch", '{"input":"*** Begin Patch\\n*** End Patch"}')),
        ],
        reasoning_content="Look at the table.",
    )
    assert first.usage == Usage(900, 40, 940, {"cached_tokens": 700})
    assert second.request.messages[-2:] == [
        Message("tool", "cone 6: 1222 C", tool_call_id="c1"),
        Message("tool", "nothing to do", tool_call_id="c2"),
    ]
    assert second.answer == AnswerMessage("Cone 6 is 1222 C.")
    assert second.parent == first.id


def test_a_turn_that_was_rolled_back_is_not_in_the_next(whole: Whole) -> None:
    *_, rolled_back, after, _ = whole(SAMPLE)
    assert said(rolled_back)[-1] == ("user", "In Fahrenheit?")
    assert said(after)[-2:] == [("assistant", "Cone 6 is 1222 C."), ("user", "In Fahrenheit, please.")]


def test_after_a_compaction_the_new_history_is_what_was_said(whole: Whole) -> None:
    last = whole(SAMPLE)[-1]
    assert said(last) == [("user", "Cone 6 is 1222 C, 2232 F."), ("assistant", "Noted."), ("user", "And cone 10?")]
    assert "incomplete" not in (last.request.metadata or {})


def test_bare_lines_of_2025(whole: Whole) -> None:
    call, answer = whole("rollout-bare.jsonl")
    assert call.conversation == "th-9"
    assert said(call)[0] == ("system", "Be brief.")
    assert call.answer == AnswerMessage(
        None, [ToolCall("c1", FunctionCall("local_shell", '{"type":"exec","command":["ls"]}'))]
    )
    assert said(answer)[-1] == ("tool", "tea.txt")
    assert answer.request.metadata == {
        "repository": "bowls",
        "folder": "/home/ann/bowls",
        "commit": "aa11bb2",
        "branch": "dev",
        "tools_inferred": True,
    }


def test_a_broken_line_is_listed_and_what_follows_is_incomplete(
    tmp_path: Path, sample: Callable[[str], Path], taken: Callable[[Path], tuple]
) -> None:
    lines = sample(SAMPLE).read_bytes().splitlines(keepends=True)
    path = tmp_path / "rollout-broken.jsonl"
    path.write_bytes(b"".join([*lines[:16], lines[16][:50] + b"\n", *lines[17:]]))
    traces, bad = taken(path)
    assert [one.line for one in bad] == [17]
    assert ["incomplete" in (trace.request.metadata or {}) for trace in traces] == [False, True, True, False]


def test_a_compaction_that_is_encrypted_is_incomplete(tmp_path: Path, taken: Callable[[Path], tuple]) -> None:
    path = tmp_path / "rollout-x.jsonl"
    path.write_text(
        '{"type":"compacted","payload":{"message":"","replacement_history":'
        '[{"type":"message","role":"user","content":"Fire."},{"type":"compaction","encrypted_content":"gA"}]}}\n'
        '{"type":"response_item","payload":{"type":"message","role":"assistant","content":"Fired."}}\n'
    )
    ((trace,), bad) = taken(path)
    assert not bad
    assert said(trace) == [("user", "Fire.")]
    assert trace.request.metadata == {"incomplete": True}
