"""Whatever is in a file, a reader goes on to its end; and it holds no more of it than it must."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from distill.formats import lines
from distill.formats.find import FORMATS, read
from distill.formats.lines import BadLine
from distill.trace import Trace
from tests.distill.formats.test_find import FORMS

_PIECES = [b"", b"\n", b"\x00", b"\xff", b'"', b"{", b"]", b"null", b"7", b"-1e999", b"[" * 2000, b"\\ud800", b'{"a":']


def taken(path: Path, form: str) -> list[Trace | BadLine]:
    found = list(read(path, form))
    msgspec.json.encode(found)  # what is taken can be kept, and what is bad can be told
    return found


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=400)
@given(data=st.data())
def test_no_damage_makes_a_reader_raise(data: st.DataObject, tmp_path: Path, sample: Callable[[str], Path]) -> None:
    name = data.draw(st.sampled_from(sorted(FORMS)))
    content = sample(name).read_bytes()
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(content)))
        end = start + data.draw(st.sampled_from([0, 1, 2, 5, 50, 5000]))
        content = content[:start] + data.draw(st.sampled_from(_PIECES) | st.binary(max_size=3)) + content[end:]
    path = tmp_path / "damaged"
    path.write_bytes(content)
    taken(path, FORMS[name])


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["type", "text", "id"]), inner),
    max_leaves=4,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=400)
@given(data=st.data())
def test_no_value_of_another_type_makes_a_reader_raise(
    data: st.DataObject, tmp_path: Path, sample: Callable[[str], Path]
) -> None:
    """One value somewhere in a line that is JSON is replaced by another."""
    name = data.draw(st.sampled_from(sorted(name for name in FORMS if "json" in name)))
    content = sample(name).read_bytes()
    values = [msgspec.json.decode(line) for line in ([content] if name.endswith(".json") else content.splitlines())]
    inside: object = values
    while isinstance(inside, (dict, list)) and inside:
        key = data.draw(st.sampled_from(sorted(inside) if isinstance(inside, dict) else range(len(inside))))
        if isinstance(inside[key], (dict, list)) and inside[key] and data.draw(st.integers(0, 5)):
            inside = inside[key]
        else:
            inside[key] = data.draw(_VALUES)
            break
    path = tmp_path / "changed"
    path.write_bytes("\n".join(json.dumps(value) for value in values).encode())
    taken(path, FORMS[name])


@pytest.mark.parametrize("form", FORMATS)
def test_rubbish_is_listed_in_every_format(form: str, tmp_path: Path) -> None:
    path = tmp_path / "rubbish"
    path.write_bytes(b"\xff\xfe\x00\n" * 3 + b"[" * 100_000 + b"\n" + b'{"type": 7}\n')
    found = taken(path, form)
    assert found
    assert all(isinstance(one, BadLine) and one.file == str(path) for one in found)


def test_a_line_that_is_too_long_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "LINE_BYTES", 1 << 20)
    good = b'{"messages":[{"role":"user","content":"?"},{"role":"assistant","content":"!"}]}\n'
    path = tmp_path / "long.jsonl"
    path.write_bytes(good + b'{"messages": "' + b"x" * (3 << 20) + b'"}\n' + good)
    first, bad, second = taken(path, "openai")
    assert bad == BadLine(str(path), 2, "longer than 1 MB")
    assert first == second
    (tmp_path / "long.json").write_bytes(b'{"info": "' + b"x" * (3 << 20) + b'"}')
    assert taken(tmp_path / "long.json", "opencode") == [BadLine(str(tmp_path / "long.json"), 0, "longer than 1 MB")]


def peak(path: Path, form: str) -> tuple[int, int]:
    """How many traces a file has, and the most bytes that reading them one by one took."""
    tracemalloc.start()
    count = sum(isinstance(one, Trace) for one in read(path, form))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return count, most


def test_examples_are_read_line_by_line(tmp_path: Path) -> None:
    words = "clay " * 4000
    line = msgspec.json.encode(
        {"messages": [{"role": "user", "content": words}, {"role": "assistant", "content": words}]}
    )
    path = tmp_path / "large.jsonl"
    with path.open("wb") as file:
        for _ in range(1000):
            file.write(line + b"\n")
    assert path.stat().st_size > 40_000_000
    count, most = peak(path, "openai")
    assert count == 1000
    assert most < 2_000_000


@pytest.mark.parametrize("form", ["claude-code", "codex"])
def test_a_long_session_is_held_once_and_not_once_for_each_answer(form: str, tmp_path: Path) -> None:
    path = tmp_path / "session.jsonl"
    with path.open("wb") as file:
        for number in range(2000):
            for line in turn(form, number, "clay " * 400):
                file.write(msgspec.json.encode(line) + b"\n")
    size = path.stat().st_size
    count, most = peak(path, form)
    assert count == 2000
    assert most < 2 * size


def turn(form: str, number: int, words: str) -> list[dict[str, object]]:
    """A question and its answer; each answer's request holds all that was said before."""
    if form == "codex":
        said = [("user", "input_text"), ("assistant", "output_text")]
        items = [{"type": "message", "role": role, "content": [{"type": kind, "text": words}]} for role, kind in said]
        return [{"timestamp": "2026-04-02T10:00:00Z", "type": "response_item", "payload": item} for item in items]
    entries: list[dict[str, object]] = []
    for role in ("user", "assistant"):
        message = {"role": role, "id": f"m{number}", "content": [{"type": "text", "text": words}]}
        link = {"uuid": f"{role}{number}", "parentUuid": f"user{number}" if role == "assistant" else None}
        if role == "user" and number:
            link["parentUuid"] = f"assistant{number - 1}"
        entries.append({"type": role, "sessionId": "s", **link, "message": message})
    return entries


def test_storage_goes_on_after_a_session_that_is_damaged(tmp_path: Path) -> None:
    for name, content in {
        "session/p/a.json": b"{",
        "session/p/b.json": b'{"id":"b"}',
        "message/b/1.json": b'{"role":"user"}',
        "message/b/2.json": b'{"role":"assistant","time":{"created":1e300}}',
        "part/1/1.json": b'{"type":"text","text":"?"}',
        "part/2/1.json": b'{"type":"text","text":"!"}',
        "part/2/2.json": b"\xff",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    found = taken(tmp_path, "opencode")
    assert [type(one) for one in found] == [BadLine, BadLine, Trace]
