"""A session of Claude Code: calls at once, an edited question, a sub-agent, a compaction, and what is no message."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from distill.trace import Trace
from router.chat import AnswerMessage, FunctionCall, Message, ToolCall, Usage

Whole = Callable[[str], list[Trace]]
SAMPLE = "claude-code.jsonl"


def said(trace: Trace) -> list[tuple[str, str]]:
    return [(message.role, message.text) for message in trace.request.messages]


def test_every_answer_is_a_trace_of_its_conversation(whole: Whole) -> None:
    found = whole(SAMPLE)
    assert [(trace.conversation, trace.turn, trace.wire_id) for trace in found] == [
        ("s-1", 0, "msg_1"),
        ("s-1", 1, "msg_2"),
        ("s-1", 2, "msg_4"),
        ("s-1.1", 0, "msg_6"),  # what is open at the end of the file is closed there
        ("s-1/ag1", 0, "msg_5"),
    ]
    assert len({trace.id for trace in found}) == 5


def test_what_an_import_is(whole: Whole) -> None:
    first, second, *_ = whole(SAMPLE)
    assert first.id.startswith("import-")
    assert (first.state, first.teach, first.client, first.wire) == (
        "completed",
        False,
        "import:claude-code",
        "claude-code",
    )
    assert first.decision.why == "requested: imported from claude-code"
    assert first.decision.arm == "teacher"
    assert first.model == first.request.model == "claude-opus-5"
    assert first.created == datetime(2026, 3, 1, 9, 0, 5, tzinfo=UTC).timestamp()
    assert first.request.metadata == {
        "repository": "kiln",
        "folder": "/home/ann/kiln",
        "branch": "main",
        "tools_inferred": True,
    }
    assert (first.parent, second.parent) == ("", first.id)
    assert second.request.metadata is not None
    assert second.request.metadata["branch"] == "glazes"


def test_blocks_of_one_answer_are_one_answer_and_results_follow(whole: Whole) -> None:
    first, second, *_ = whole(SAMPLE)
    assert said(first) == [("user", "Where is the glaze table built?")]
    calls = [
        ToolCall("t1", FunctionCall("Grep", '{"pattern":"glaze_table","-n":true}')),
        ToolCall("t2", FunctionCall("Read", '{"file_path":"src/kiln.py"}')),
    ]
    assert first.answer == AnswerMessage(None, calls, reasoning_content="Search and read at once.")
    assert first.finish_reason == "tool_calls"
    assert first.usage == Usage(1110, 80, 1190, {"cached_tokens": 1000})
    assert second.request.messages[1:] == [
        Message("assistant", None, calls, reasoning_content="Search and read at once."),
        Message("tool", "src/glaze.py:7:def glaze_table():", tool_call_id="t1"),
        Message("tool", "Error: no such file\n[image]", tool_call_id="t2"),
    ]
    assert second.finish_reason == "stop"


def test_every_request_offers_the_tools_of_the_whole_file(whole: Whole) -> None:
    for trace in whole(SAMPLE):
        assert [tool.function.name for tool in trace.request.tools or ()] == ["Grep", "Read"]


def test_an_edited_question_takes_back_the_one_before(whole: Whole) -> None:
    (edited,) = [trace for trace in whole(SAMPLE) if trace.wire_id == "msg_4"]
    assert said(edited)[-2:] == [("assistant", "In src/glaze.py, line 7."), ("user", "Who imports it?")]
    assert edited.turn == 2


def test_a_sidechain_is_a_conversation_of_its_own(whole: Whole) -> None:
    (side,) = [trace for trace in whole(SAMPLE) if trace.wire_id == "msg_5"]
    assert side.conversation == "s-1/ag1"
    assert said(side) == [("user", "Count the glazes.")]


def test_after_a_compaction_the_summary_is_what_was_said(whole: Whole) -> None:
    (after,) = [trace for trace in whole(SAMPLE) if trace.wire_id == "msg_6"]
    assert after.conversation == "s-1.1"
    assert said(after) == [
        ("user", "So far: glaze_table is in src/glaze.py and nobody imports it."),
        ("user", "Then drop it."),
    ]
    assert after.answer == AnswerMessage("Dropped.")


def test_where_a_skill_was_slipped_in_the_rest_is_incomplete(whole: Whole) -> None:
    marked = [trace.wire_id for trace in whole(SAMPLE) if "incomplete" in (trace.request.metadata or {})]
    assert marked == ["msg_6"]


def entry(kind: str, number: int, parent: int | None, content: object, **more: object) -> bytes:
    message: dict[str, object] = {"role": kind, "content": content}
    if kind == "assistant":
        message["id"] = f"m{number}"
    line = {"type": kind, "uuid": str(number), "parentUuid": parent and str(parent), "sessionId": "s", **more}
    return msgspec.json.encode({**line, "message": message}) + b"\n"


def test_old_sidechains_hang_together_by_their_parents(tmp_path: Path, taken: Callable[[Path], tuple]) -> None:
    path = tmp_path / "old.jsonl"
    path.write_bytes(
        entry("user", 1, None, "a?", isSidechain=True)
        + entry("user", 2, None, "b?", isSidechain=True)
        + entry("assistant", 3, 1, "a.", isSidechain=True)
        + entry("assistant", 4, 2, "b.", isSidechain=True)
    )
    traces, bad = taken(path)
    assert not bad
    assert [(trace.conversation, said(trace)) for trace in traces] == [
        ("s/1", [("user", "a?")]),
        ("s/2", [("user", "b?")]),
    ]


def test_back_in_a_branch_that_was_left_is_incomplete(tmp_path: Path, taken: Callable[[Path], tuple]) -> None:
    path = tmp_path / "branches.jsonl"
    path.write_bytes(
        entry("user", 1, None, "a?")
        + entry("assistant", 2, 1, "a.")
        + entry("user", 3, 1, "b?")
        + entry("assistant", 4, 3, "b.")
        + entry("user", 5, 2, "c?")
        + entry("assistant", 6, 5, "c.")
    )
    traces, _ = taken(path)
    assert [said(trace) for trace in traces][:2] == [[("user", "a?")], [("user", "a?"), ("user", "b?")]]
    assert ["incomplete" in (trace.request.metadata or {}) for trace in traces] == [False, False, True]
    assert [trace.conversation for trace in traces] == ["s", "s.1", "s.1"]  # an answer was taken back
    assert traces[1].parent == ""


def test_without_links_entries_follow_each_other(tmp_path: Path, taken: Callable[[Path], tuple]) -> None:
    lines = [entry("user", 1, None, "a?"), entry("assistant", 2, 1, "a."), entry("user", 3, 2, "b?")]
    lines += [entry("assistant", 4, 3, "b."), entry("user", 5, 4, "c?"), entry("assistant", 6, 5, "c.")]
    unlinked = [msgspec.json.decode(line) for line in lines]
    for line in unlinked:
        del line["parentUuid"]
    path = tmp_path / "unlinked.jsonl"
    path.write_bytes(b"\n".join(msgspec.json.encode(line) for line in unlinked))
    traces, _ = taken(path)
    assert [text for _, text in said(traces[-1])] == ["a?", "a.", "b?", "b.", "c?"]
    assert [trace.turn for trace in traces] == [0, 1, 2]


@pytest.mark.parametrize("lost", [b"", b"{broken\n"])
def test_a_session_whose_beginning_is_lost(lost: bytes, tmp_path: Path, taken: Callable[[Path], tuple]) -> None:
    """It may go on from another file, which is no damage; a line that cannot be read is."""
    path = tmp_path / "continued.jsonl"
    path.write_bytes(lost + entry("user", 2, 1, "b?") + entry("assistant", 3, 2, "b."))
    traces, bad = taken(path)
    assert [trace.request.metadata for trace in traces] == ([{"incomplete": True}] if bad else [None])
    assert bool(bad) == bool(lost)


@pytest.mark.parametrize("made_up", [{"isApiErrorMessage": True}, {"model": "<synthetic>"}])
def test_answers_that_claude_code_made_up_are_none(
    made_up: dict[str, object], tmp_path: Path, taken: Callable[[Path], tuple]
) -> None:
    error = msgspec.json.decode(entry("assistant", 2, 1, "API Error", **made_up))
    error["message"] |= made_up
    path = tmp_path / "failed.jsonl"
    path.write_bytes(entry("user", 1, None, "a?") + msgspec.json.encode(error) + b"\n" + entry("assistant", 3, 2, "a."))
    ((trace,), _) = taken(path)
    assert (said(trace), trace.answer) == ([("user", "a?")], AnswerMessage("a."))


@pytest.mark.parametrize(
    ("told", "finish"), [(None, "stop"), ("max_tokens", "length"), ("refusal", "content_filter"), ("new", "new")]
)
def test_why_an_answer_ended(told: str | None, finish: str, tmp_path: Path, taken: Callable[[Path], tuple]) -> None:
    answer = msgspec.json.decode(entry("assistant", 2, 1, "a."))
    answer["message"]["stop_reason"] = told
    path = tmp_path / "ended.jsonl"
    path.write_bytes(entry("user", 1, None, "a?") + msgspec.json.encode(answer) + b"\n")
    ((trace,), _) = taken(path)
    assert trace.finish_reason == finish


@pytest.mark.parametrize(
    "broken", [b'{"type":"user","uuid":', b"\xff\xfe\n", b'{"uuid":"x"}\n', b'{"type":"user","message":7}\n']
)
def test_a_broken_line_is_listed_and_what_follows_is_incomplete(
    broken: bytes, tmp_path: Path, sample: Callable[[str], Path], taken: Callable[[Path], tuple]
) -> None:
    lines = sample(SAMPLE).read_bytes().splitlines(keepends=True)
    path = tmp_path / "broken.jsonl"
    path.write_bytes(b"".join([*lines[:12], broken.rstrip() + b"\n", *lines[12:]]))
    traces, bad = taken(path)
    assert [(one.file, one.line) for one in bad] == [(str(path), 13)]
    assert bad[0].reason
    assert [trace.id for trace in traces] == [trace.id for trace in taken(sample(SAMPLE))[0]]
    marked = {trace.wire_id for trace in traces if "incomplete" in (trace.request.metadata or {})}
    assert {"msg_4", "msg_6"} <= marked
    assert "msg_1" not in marked
