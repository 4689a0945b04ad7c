"""OpenCode's sessions, as exported and as stored."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from distill.trace import Trace
from router.chat import AnswerMessage, FunctionCall, Message, ToolCall

SAMPLE = "opencode-export.json"


@pytest.fixture
def stored(tmp_path: Path, sample: Callable[[str], Path]) -> Path:
    """The exported session as the storage folder of OpenCode 1.1 would hold it."""
    exported = msgspec.json.decode(sample(SAMPLE).read_bytes())
    write(tmp_path / "storage/session/p/ses_1.json", exported["info"])
    for message in exported["messages"]:
        write(tmp_path / f"storage/message/ses_1/{message['info']['id']}.json", message["info"])
        for part in message["parts"]:
            write(tmp_path / f"storage/part/{message['info']['id']}/{part['id']}.json", part)
    return tmp_path


def write(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.encode(value))


def said(trace: Trace) -> list[tuple[str, str]]:
    return [(message.role, message.text) for message in trace.request.messages]


def test_a_session(whole: Callable[[str], list[Trace]]) -> None:
    called, answered, resumed = whole(SAMPLE)
    asked = ("user", "Which cones are there?\nCalled the Read tool with cones.txt\n[image]")
    assert said(called) == [asked]
    calls = [
        ToolCall("c1", FunctionCall("bash", '{"command":"ls"}')),
        ToolCall("c2", FunctionCall("read", '{"filePath":"pots.txt"}')),
    ]
    assert called.answer == AnswerMessage(None, calls, reasoning_content="List and read.")
    assert answered.request.messages[2:] == [
        Message("tool", "cones.txt\n", tool_call_id="c1"),
        Message("tool", "Error: no such file", tool_call_id="c2"),
    ]
    assert answered.answer == AnswerMessage("Only cones.txt is there.")
    assert called.request.metadata == {"repository": "kiln", "folder": "/home/ann/kiln/src", "tools_inferred": True}
    assert (called.model, called.created, called.conversation) == ("glm-5", 1772355601.0, "ses_1")
    assert resumed.conversation == "ses_1.1"
    assert said(resumed) == [("user", "What did we do so far?"), ("assistant", "We listed the cones.")]
    assert resumed.request.metadata is not None
    assert resumed.request.metadata["incomplete"] is True


@pytest.mark.parametrize(
    ("told", "finish"), [("length", "length"), ("content-filter", "content_filter"), (None, "stop")]
)
def test_why_an_answer_ended(told: str | None, finish: str, stored: Path, taken: Callable[[Path], tuple]) -> None:
    path = stored / "storage/message/ses_1/msg_8.json"
    path.write_bytes(msgspec.json.encode({**msgspec.json.decode(path.read_bytes()), "finish": told}))
    traces, _ = taken(stored)
    assert traces[-1].finish_reason == finish


def test_storage_and_export_tell_the_same(
    stored: Path, sample: Callable[[str], Path], taken: Callable[[Path], tuple]
) -> None:
    exported, _ = taken(sample(SAMPLE))
    assert taken(stored) == (exported, [])
    assert taken(stored / "storage") == (exported, [])


def test_a_broken_part_is_listed_and_its_session_is_incomplete(
    stored: Path, sample: Callable[[str], Path], taken: Callable[[Path], tuple]
) -> None:
    broken = stored / "storage/part/msg_2/prt_a.json"
    broken.write_bytes(b'{"type": "text", "text": ')
    traces, bad = taken(stored)
    assert [(one.file, one.line) for one in bad] == [(str(broken.resolve()), 0)]
    assert [trace.answer and trace.answer.content for trace in traces] == [None, "There is not."]
    assert all((trace.request.metadata or {}).get("incomplete") for trace in traces[:1])


def test_no_link_leads_out_of_the_storage(
    stored: Path, tmp_path_factory: pytest.TempPathFactory, taken: Callable[[Path], tuple]
) -> None:
    outside = tmp_path_factory.mktemp("outside")
    write(outside / "prt_z.json", {"type": "text", "text": "SECRET"})
    (stored / "storage/part/msg_2/prt_z.json").symlink_to(outside / "prt_z.json")
    (stored / "storage/message/ses_2").symlink_to(outside)
    (stored / "storage/session/p/ses_2.json").write_bytes(b'{"id":"ses_2"}')
    (stored / "storage/session/p/...json").write_bytes(b'{"id":".."}')
    traces, bad = taken(stored)
    assert b"SECRET" not in msgspec.json.encode(traces)
    assert len(traces) == 3
    assert sorted(Path(one.file).name for one in bad) == ["..", "prt_z.json", "ses_2"]
