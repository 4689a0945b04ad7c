"""What traces may hold that nobody wants: all of it is answered, kept, shown and sifted, or refused with a reason."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from distill.filters import Explanation, Rules, Told, explain
from distill.outcome import Outcome
from distill.outcomes import asked_anew
from distill.store.store import TraceStore
from distill.trace import Trace
from gateway.backends.scripted import Act
from router.chat import AnswerMessage, Message
from tests.gateway.recording.test_recorder import recording, trace, until
from tests.gateway.running import READ_FILE, Running, Script, nightschool

pytestmark = pytest.mark.gateways

_TOLD = Told(Rules(confirm=False))


@pytest.fixture(scope="module")
def teacher() -> Iterator[Script]:
    with Script(Act(text="teacher")) as script:
        yield script


@pytest.fixture(scope="module")
def student() -> Iterator[Script]:
    with Script(Act(text="student")) as script:
        yield script


@pytest.fixture(scope="module")
def gateway(student: Script, teacher: Script, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    home = tmp_path_factory.mktemp("home")
    settings = {"gateway__max_body_bytes": 64 << 20, "teacher__attempts": 1, "teacher__failures": 0}
    with Running(home, student.url, teacher.url, student__context=10**9, **settings) as running:
        running.wait_ready()
        yield running


def ask(gateway: Running, **body: Any) -> Trace:
    """The trace, once it is there."""
    payload = {"model": "teacher", "messages": [{"role": "user", "content": "Hi"}], **body}
    status, told, answer = gateway.call("/v1/chat/completions", payload)
    assert status == 200, answer[:1000]
    return kept(gateway, told)


def kept(gateway: Running, told: dict[str, str]) -> Trace:
    gateway.wait(lambda health: health["traces"]["waiting"] == 0, 100)
    return msgspec.convert(gateway.trace(told), Trace)


def sifted(*traces: Trace) -> Explanation:
    return explain(traces, _TOLD)


def whole(gateway: Running) -> bool:
    """Whether the store passes its check, and every trace in it can be exported."""
    verified = nightschool("traces", "verify", home=gateway.home)
    exported = nightschool("traces", "export", home=gateway.home)
    for line in exported.stdout.splitlines():
        msgspec.json.decode(line, type=Trace)
    return (verified.returncode, exported.returncode, exported.stderr) == (0, 0, "")


@pytest.mark.parametrize("escape", ["\\ud800", "\\udfff x", "\\ud800\\u0041", "\\udc00\\ud800"])
def test_half_a_surrogate_pair_in_a_request_is_refused(gateway: Running, escape: str) -> None:
    """JSON that says so has no text that it could mean."""
    body = f'{{"model": "teacher", "messages": [{{"role": "user", "content": "a {escape} b"}}]}}'.encode()
    status, _, answer = gateway.call("/v1/chat/completions", body)
    assert status == 400
    assert msgspec.json.decode(answer)["error"]["code"] == "invalid_json"
    assert gateway.chat(model="teacher")[0] == 200


def test_half_a_surrogate_pair_within_json_in_a_text_stays_as_it_was(gateway: Running, teacher: Script) -> None:
    arguments = '{"path": "a\\ud800.py", "lines": 3}'
    teacher.play(Act(calls=[("read_file", arguments)]), Act(text="It is empty."))
    asked = [{"role": "user", "content": "Read a.py"}]
    first = ask(gateway, messages=asked, tools=[READ_FILE])
    assert first.answer is not None
    assert first.answer.tool_calls is not None
    (call,) = first.answer.tool_calls
    assert call.function.arguments == arguments
    result = {"role": "tool", "tool_call_id": call.id, "content": '{"out": "\\udc00", "mail": "joe.blow@corp.io"}'}
    said = [*asked, {"role": "assistant", "tool_calls": [msgspec.to_builtins(call)]}, result]
    second = ask(gateway, messages=said, tools=[READ_FILE])
    assert "\\udc00" in second.request.messages[2].text
    assert "joe.blow" not in second.request.messages[2].text
    assert sifted(first, second).trajectories
    assert whole(gateway)


def test_an_answer_with_half_a_surrogate_pair_is_none(gateway: Running, teacher: Script) -> None:
    teacher.play(Act(raw=b'{"id": "c", "choices": [{"index": 0, "message": {"content": "\\ud800"}}]}'))
    status, _, answer = gateway.call(
        "/v1/chat/completions", {"model": "teacher", "messages": [{"role": "user", "content": "Hi"}]}
    )
    assert (status, msgspec.json.decode(answer)["error"]["code"]) == (502, "backend_broken")


def test_nul_bytes_everywhere(gateway: Running, teacher: Script) -> None:
    nul = "wal\x00rus\x00"
    teacher.play(Act(text=nul, thoughts=nul, calls=[("read_file", json.dumps({"path": nul}))]))
    tool = {"type": "function", "function": {"name": "read_file", "description": nul}}
    found = ask(
        gateway,
        messages=[{"role": "system", "content": nul}, {"role": "user", "content": nul, "name": nul}],
        tools=[tool],
        stop=[nul],
        user=nul,
        metadata={nul: nul, "conversation_id": nul},
        x_unknown=nul,
    )
    assert (found.conversation, found.request.user, found.request.messages[1].text) == (nul, nul, nul)
    assert found.answer is not None
    assert found.answer.content == nul
    assert sifted(found).trajectories
    for command in (["list"], ["list", "--json"], ["show", found.id], ["search", "wal"], ["stats"]):
        done = nightschool("traces", *command, home=gateway.home)
        assert done.returncode == 0, done.stderr
    assert found.id in nightschool("traces", "search", "wal", "--json", home=gateway.home).stdout
    assert whole(gateway)


def test_a_thousand_tools_are_kept_once(gateway: Running, teacher: Script) -> None:
    teacher.play(Act(text="There are many."))
    schema = {"type": "object", "properties": {f"p{number}": {"type": "string"} for number in range(20)}}
    tools = [
        {"type": "function", "function": {"name": f"tool_{number}", "description": "d" * 100, "parameters": schema}}
        for number in range(1000)
    ]
    before = size(gateway)
    found = [ask(gateway, messages=[{"role": "user", "content": f"How many? {n}"}], tools=tools) for n in range(5)]
    assert all(one.request.tools is not None and len(one.request.tools) == 1000 for one in found)
    once = len(msgspec.json.encode(found[0].request.tools))
    assert once < size(gateway) - before < 2 * once
    assert sifted(found[0]).trajectories
    assert whole(gateway)


CYCLES: list[dict[str, Any]] = [
    {"$ref": "#"},
    {"type": "object", "properties": {"path": {"$ref": "#/$defs/a"}}, "$defs": {"a": {"$ref": "#/$defs/a"}}},
    {
        "type": "object",
        "properties": {"path": {"$ref": "#/$defs/a"}},
        "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}},
    },
    {"type": "object", "properties": {"next": {"anyOf": [{"type": "null"}, {"$ref": "#"}]}}},
]


@pytest.mark.parametrize("schema", CYCLES)
def test_a_schema_that_refers_to_itself(
    gateway: Running, student: Script, teacher: Script, schema: dict[str, Any]
) -> None:
    """For the student's draft, which is checked against it, as for the filters."""
    calls = [("look", json.dumps({"path": "a.py"}))]
    student.play(Act(calls=calls))
    teacher.play(Act(calls=calls))
    tool = {"type": "function", "function": {"name": "look", "parameters": schema}}
    start = time.monotonic()
    drafted = ask(gateway, model="nightschool", tools=[tool])
    taught = ask(gateway, tools=[tool])
    assert time.monotonic() - start < 10
    assert drafted.draft is not None
    assert taught.request.tools is not None
    assert taught.request.tools[0].function.parameters == schema
    assert sifted(taught).trajectories


def test_a_body_of_fifty_megabytes(gateway: Running, teacher: Script) -> None:
    """It is kept whole, and what comes meanwhile waits no longer than it must and is not lost."""
    teacher.play(Act(text="That is long."))
    line = "2026-11-25 12:00:01 INFO worker 17 took job 4711 from the queue, 3 are left\n"
    found = ask(gateway, messages=[{"role": "user", "content": line * (50_000_000 // len(line))}])
    assert len(found.request.messages[0].text) > 49_000_000
    assert ask(gateway).state == "completed"
    assert gateway.get("/health")["traces"]["dropped"] == 0


def size(gateway: Running) -> int:
    with closing(sqlite3.connect(f"file:{gateway.home}/data/traces.db?mode=ro", uri=True)) as database:
        return int(database.execute("SELECT sum(length(body)) FROM blobs").fetchone()[0] or 0)


_TIMES = [1.7e9, 1.7e9 + 60, 4.2e9, 12.5, 1.7e9 + 30, 0.0]  # a clock that jumps ahead, and back to 1970


@asynccontextmanager
async def jumping(data: Path) -> AsyncIterator[TraceStore]:
    """The store after a conversation during which the clock jumped."""
    messages: list[Message] = []
    async with recording(data) as recorder:
        for number, created in enumerate(_TIMES):
            messages = [*messages, Message("user", f"Where is number {number}?")]
            one = trace(f"t{number}")
            request = msgspec.structs.replace(one.request, messages=messages)
            answer = AnswerMessage("There.")
            recorder.put(msgspec.structs.replace(one, created=created, request=request, turn=number, answer=answer))
            messages = [*messages, Message("assistant", "There.")]
            recorder.put(Outcome(f"t{number}", "feedback", created, score=1.0))
        await until(lambda: recorder.status.written == 2 * len(_TIMES))
        async with await TraceStore.open(data / "traces.db") as store:
            yield store


async def test_a_clock_that_jumps_mixes_nothing_up(tmp_path: Path) -> None:
    names = [f"t{number}" for number in range(len(_TIMES))]
    async with jumping(tmp_path) as store:
        found = await store.conversation("c")
        assert [one.id for one in found] == names
        assert [one.parent for one in found] == ["", *names[:-1]]
        assert [one.id for one in await store.listed()] == names[::-1]
        assert sum(one.traces for one in await store.sums()) == len(_TIMES)
        assert len(await store.outcomes(names)) == len(_TIMES)
        assert sifted(*found).trajectories[0].traces == names
        assert list(asked_anew(found)) == []
        assert [fault async for fault in store.faults()] == []


async def test_a_clock_that_jumped_forgets_by_what_it_said_then(tmp_path: Path) -> None:
    """What is older than the limit by its own time goes; nothing else, and no sum is left of it."""
    async with jumping(tmp_path) as store:
        old = await store.oldest(1.6e9, None)
        assert sorted(old) == ["t3", "t5"]
        await store.forget(old)
        left = await store.conversation("c")
        assert [one.id for one in left] == ["t0", "t1", "t2", "t4"]
        assert sum(one.traces for one in await store.sums()) == 4
        assert await store.outcomes(["t3", "t5"]) == []
        assert [fault async for fault in store.faults()] == []
