"""Hundreds of planted secrets through a whole gateway, in every field: none is left in any file, page or export."""

from __future__ import annotations

import asyncio
import itertools
import json
import sqlite3
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from distill.collecting import Collector
from distill.dataset import Example, Inputs, build
from distill.filters import Rules
from distill.redact.key import key_at
from distill.redact.redactor import Redactor
from distill.store.store import TraceStore
from distill.trace import Trace
from gateway.backends.scripted import Act
from gateway.backends.stream import encode_event
from tests.gateway.recording.planting import WIRES, Garden, arguments, bodies, chat, said_last
from tests.gateway.recording.searching import Hunt, ids_of
from tests.gateway.running import READ_FILE, Running, Script, nightschool

pytestmark = pytest.mark.gateways

_ROUNDS = 6
_SPARE = '[teachers.spare]\nurl = "{}"\nattempts = 1\nfailures = 0\n'
_ANSWER = "parse_args is defined in src/cli.py, line 12."
_QUESTION = "Where is parse_args defined, in src/cli.py or in src/b.py? Tell {} about it, topic {}."


class Day(msgspec.Struct):
    """A home after a day, what was planted in it, what was seen in the spool and on pages, and how many turns were."""

    home: Path
    garden: Garden
    shared: str  # a text that stands in requests of all wires
    spool: bytes = b""
    pages: bytes = b""
    turns: int = 0


def quoted(body: dict[str, Any]) -> bytes:
    return msgspec.json.encode({"error": {"message": f"I do not like this: {said_last(body)}", "code": "x"}})


def student_says(body: dict[str, Any]) -> Act:
    """Drafts that repeat what was told: one is served, the others are rejected."""
    said, told = said_last(body), len(said_last(body)) % 3
    calls = [("write", json.dumps({"content": said}))] if body.get("tools") else []
    return Act(text=said, thoughts=f"They say {said}", calls=calls, logprob=-0.01 if told == 0 else -5.0)


def teacher_says() -> Callable[[dict[str, Any]], Act]:
    """What was told again, in pieces, in thoughts and in calls; and errors that quote it, before and in a stream."""
    count = itertools.count()

    def say(body: dict[str, Any]) -> Act:
        number, said = next(count), said_last(body)
        told = Act(text=f"As you said: {said}", thoughts=f"Hm, {said}", pieces=20)
        if number % 5 == 1:
            return Act(status=500, body=quoted(body))
        if number % 5 == 2:
            return Act(status=400, body=quoted(body))
        if number % 5 == 3:
            return msgspec.structs.replace(told, calls=[("write", json.dumps({"content": f"x = 1\n{said}"}))])
        if number % 5 == 4 and body.get("stream"):
            begun = {"id": "c", "choices": [{"index": 0, "delta": {"content": said[: len(said) // 2]}}]}
            return Act(raw=[encode_event(begun), b"data: " + quoted(body) + b"\n\n"], pause=0.3)
        return told

    return say


def ask(gateway: Running, day: Day, path: str, body: dict[str, Any], conversation: str = "") -> dict[str, str]:
    headers = {"x-nightschool-conversation": conversation} if conversation else {}
    _, told, _ = gateway.call(path, body, headers=headers)
    day.turns += 1
    return told


def ask_round(gateway: Running, day: Day, rounds: int) -> None:
    for at, (path, body) in enumerate(bodies(day.garden, rounds)):
        told = ask(gateway, day, path, body, day.garden.plant_in_a_line() if at % 3 == 0 else "")
        assert "x-nightschool-trace" in told, told


def say_shared(gateway: Running, day: Day) -> None:
    """The same secret over every wire, whole and streamed, and in a second turn."""
    for path, made in WIRES.items():
        for stream in (False, True):
            body = {"model": "nightschool", "stream": stream, **made(lambda: day.shared)}
            ask(gateway, day, path, body, f"shared {stream}")


def give_feedback(gateway: Running, day: Day, teacher: Script) -> None:
    garden, name = day.garden, day.garden.plant_in_a_line()
    teacher.play(Act(text="Yes."))
    told = ask(gateway, day, "/v1/chat/completions", {"model": "teacher", **chat(garden.plant)}, name)
    call = {"id": "c9", "type": "function", "function": {"name": "write", "arguments": arguments(garden.plant)}}
    for said in (
        {"id": told["x-nightschool-trace"], "comment": garden.plant(), "corrected": garden.plant()},
        {"conversation": name, "comment": garden.plant(), "corrected": {"content": None, "tool_calls": [call]}},
    ):
        assert gateway.call("/v1/feedback", said)[0] == 200, said


def teach(gateway: Running, day: Day, teacher: Script) -> None:
    """Conversations that are learnt from, with secrets in them."""
    for number in range(4):
        teacher.play(Act(calls=[("read_file", '{"path": "src/cli.py"}')]), Act(text=_ANSWER))
        asked = _QUESTION.format(day.garden.plant_in_a_line(), number * 7919)
        said: list[dict[str, Any]] = [{"role": "user", "content": f"{asked}\n{day.shared}"}]
        for _ in range(2):
            body = {
                "model": "teacher",
                "messages": said,
                "tools": [READ_FILE],
                "metadata": {"repository": f"r{number}"},
            }
            _, _, answer = gateway.call(
                "/v1/chat/completions", body, headers={"x-nightschool-conversation": f"t{number}"}
            )
            day.turns += 1
            message = msgspec.json.decode(answer)["choices"][0]["message"]
            calls = [call["id"] for call in message.get("tool_calls") or ()]
            result = f"src/cli.py:12: def parse_args(argv): ...\n{day.garden.plant()}"
            said = [*said, message, *({"role": "tool", "tool_call_id": call, "content": result} for call in calls)]


def pages(gateway: Running) -> bytes:
    seen = [gateway.call(path, b"", "GET")[2] for path in ("/health", "/metrics")]
    return b"\n".join([*seen, msgspec.json.encode(gateway.admin("/admin/status", b"", "GET")[1])])


def lived(day: Day, gateway: Running, teacher: Script) -> None:
    """A day: at first the store is locked, so that the spool has what was said."""
    with closing(sqlite3.connect(day.home / "data" / "traces.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        ask_round(gateway, day, 1)
        say_shared(gateway, day)
        turns = day.turns
        gateway.wait(lambda health: health["traces"]["spooled"] == turns)
        day.spool = b"".join(path.read_bytes() for path in (day.home / "data" / "spool").iterdir())
        day.pages += pages(gateway)
        other.execute("ROLLBACK")
    gateway.wait(lambda health: health["traces"]["spooled"] == 0)
    ask_round(gateway, day, _ROUNDS - 1)
    give_feedback(gateway, day, teacher)
    teach(gateway, day, teacher)
    gateway.wait(lambda health: health["traces"]["waiting"] == 0)
    day.pages += pages(gateway)


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Day:
    home, garden = tmp_path_factory.mktemp("home"), Garden(300)
    day = Day(home, garden, garden.plant())
    limits = {"teacher__attempts": 1, "teacher__failures": 0, "gateway__log": "json"}
    with Script(student_says) as student, Script(teacher_says()) as teacher, Script(Act(text="spare")) as spare:
        (home / "nightschool.toml").write_text(_SPARE.format(spare.url))
        with Running(home, student.url, teacher.url, **limits) as gateway:
            gateway.wait_ready()
            lived(day, gateway, teacher)
    return day


@pytest.fixture(scope="module")
def traces(day: Day) -> list[Trace]:
    async def read() -> list[Trace]:
        async with await TraceStore.open_to_read(day.home / "data" / "traces.db") as store:
            return [trace for _, trace in await store.after(0, limit=10_000)]

    return asyncio.run(read())


def test_the_day_was_one_worth_looking_at(day: Day, traces: list[Trace]) -> None:
    assert len(day.garden.secrets) >= 300
    assert len(Counter(name for name, _ in day.garden.planted.values())) >= 20
    assert len(traces) == day.turns
    assert all(trace.redacted for trace in traces)
    assert {trace.wire for trace in traces} == {"chat", "responses", "messages", "completions"}
    assert {"verified", "doubtful", "requested"} <= {trace.decision.reason for trace in traces}
    assert any(trace.draft and trace.draft.message.tool_calls for trace in traces)
    assert any(trace.tried for trace in traces)
    errors = {trace.error.partition(":")[0] for trace in traces}
    assert {"", "BackendRefused", "BackendBroken"} <= errors
    assert day.spool.count(b"\n") > 10


def test_nothing_is_left_in_any_file(day: Day) -> None:
    hunt = Hunt(day.garden.secrets)
    assert hunt.in_files(day.home) == {}
    assert hunt.in_database(day.home / "data" / "traces.db") == set()
    assert hunt.in_bytes(day.spool) == set()
    assert hunt.in_bytes(day.pages) == set()


def test_nothing_is_found_by_a_search(day: Day) -> None:
    async def search() -> list[str]:
        async with await TraceStore.open_to_read(day.home / "data" / "traces.db") as store:
            return [secret for secret in sorted(day.garden.secrets) if await store.search(f'"{secret}"')]

    assert asyncio.run(search()) == []


def test_nothing_is_exported(day: Day, traces: list[Trace]) -> None:
    hunt, placeholder = Hunt(day.garden.secrets), redacted(day)
    for form in ("traces", "openai", "trl", "plan"):
        done = nightschool("traces", "export", "--format", form, home=day.home)
        assert (done.returncode, done.stderr) == (0, "")
        assert hunt.in_bytes(done.stdout.encode()) == set(), form
        assert json.dumps(placeholder, ensure_ascii=False)[1:-1] in done.stdout, form


def test_nothing_is_in_a_dataset(day: Day, tmp_path: Path) -> None:
    async def collect() -> list[Example]:
        async with await TraceStore.open(day.home / "data" / "traces.db") as store:
            collector = Collector(store, day.home / "data", Rules(confirm=False))
            return [example async for sifted in collector.sifted(2**62) for example in sifted.examples]

    examples = asyncio.run(collect())
    made = build(Inputs(lambda: examples), tmp_path)
    assert Hunt(day.garden.secrets).in_files(tmp_path) == {}
    learnt = Path(made.folder, "train.jsonl").read_text() + Path(made.folder, "valid.jsonl").read_text()
    assert json.dumps(redacted(day), ensure_ascii=False)[1:-1] in learnt


def test_a_secret_has_one_placeholder_wherever_it_stands(day: Day, traces: list[Trace]) -> None:
    placeholder = redacted(day)
    spelled = json.dumps(placeholder, ensure_ascii=False)[1:-1]
    shared = [trace for trace in traces if trace.conversation.startswith("shared")]
    assert {trace.wire for trace in shared} == {"chat", "responses", "messages", "completions"}
    assert all(spelled in msgspec.json.encode(trace).decode() for trace in shared)
    assert day.spool.decode().count(spelled) >= len(shared)


async def test_no_token_ids_are_left(day: Day) -> None:
    assert await ids_of(day.home / "data" / "traces.db") == {}


def redacted(day: Day) -> str:
    """The shared text as this home writes it."""
    return Redactor(key_at(day.home / "data" / "redact.key")).text(day.shared)
