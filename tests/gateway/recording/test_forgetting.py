"""What is forgotten while it is still on its way is gone, and does not come back."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from distill.outcome import Outcome
from distill.store.listing import Wanted
from distill.store.store import TraceStore
from distill.trace import Trace
from gateway.backends.scripted import Act
from gateway.forgetting import chosen
from gateway.recording.frames import Orders
from gateway.recording.keeping import AGAIN, Keeping
from router.chat import AnswerMessage, Message
from tests.gateway.recording.test_recorder import files_with, process, recording, stored, trace, until
from tests.gateway.running import Running, Script, nightschool


@contextmanager
def locked(data: Path) -> Iterator[None]:
    """While nobody else can write the store."""
    with closing(sqlite3.connect(data / "traces.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


def answered(name: str, said: str) -> Trace:
    return msgspec.structs.replace(trace(name, said), answer=AnswerMessage("There."), wire_id=f"wire-{name}")


def after(before: Trace, name: str, said: str) -> Trace:
    """The next turn of a conversation."""
    messages = [*before.request.messages, Message("assistant", "There."), Message("user", said)]
    return msgspec.structs.replace(
        answered(name, ""), request=msgspec.structs.replace(before.request, messages=messages)
    )


@pytest.mark.parametrize("dies", [False, True])
async def test_what_waits_in_the_spool(tmp_path: Path, dies: bool) -> None:
    """With those that go on from it, or from what is forgotten of the store, and what was said of them."""
    one, other = answered("stored", "walrus one"), answered("spooled", "walrus two")
    async with recording(tmp_path) as recorder:
        recorder.put(one)
        await until(lambda: recorder.status.written == 1)
        with locked(tmp_path):
            for item in (
                other,
                after(one, "after stored", "walrus three"),
                after(other, "after spooled", "walrus four"),
                answered("stays", "seal"),
                Outcome("spooled", "feedback", 2.0, comment="walrus five"),
                Outcome("stays", "feedback", 2.0, comment="seal"),
            ):
                recorder.put(item)
            await until(lambda: recorder.status.spooled == 6)
            assert await recorder.get("wire-spooled") == other
            gone = await recorder.forget(["stored", "spooled"])
            names = ("stored", "spooled", "after stored", "after spooled")
            assert gone == {name: f"wire-{name}" for name in names}
            assert await recorder.get("spooled") is None
            assert files_with(tmp_path / "spool", b"walrus") == []
            assert len(files_with(tmp_path / "spool", b"seal")) == 1
            if dies:
                process().kill()
        recorder.put(answered("later", "seal"))
        await until(lambda: recorder.status.written >= 9 and recorder.status.spooled == 0)
        assert await recorder.store.outcomes(["spooled", "stays"]) == [
            Outcome("stays", "feedback", 2.0, comment="seal")
        ]
    assert await stored(tmp_path) == ["stays", "later"]
    assert files_with(tmp_path, b"walrus") == []


async def test_what_waits_in_memory(tmp_path: Path) -> None:
    """Sent to a process that does not take it, and not yet sent."""
    async with recording(tmp_path) as recorder:
        recorder.put(answered("first", "seal"))
        await until(lambda: recorder.status.written == 1)
        child = process()
        child.suspend()
        for number in range(300):
            recorder.put(answered(f"{number:03}", f"walrus {number}"))
        await asyncio.sleep(0.1)
        found = await recorder.get("wire-250")
        assert found == answered("250", "walrus 250")
        forgetting = recorder.forget([f"{number:03}" for number in range(299)])
        await asyncio.sleep(0.1)
        child.kill()
        assert len(await forgetting) == 299
        await until(lambda: recorder.status.waiting == 0)
    assert await stored(tmp_path) == ["first", "299"]


def ask(gateway: Running, words: str) -> str:
    """The trace's id."""
    status, told, _ = gateway.chat(words, "teacher")
    assert status == 200
    return told["x-nightschool-trace"]


def forgotten(gateway: Running, name: str) -> bool:
    return gateway.call(f"/v1/traces/{name}", b"", "GET")[0] == 404


@pytest.mark.gateways
def test_over_http_and_by_the_command(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with Script(Act(text="s")) as student, Script(Act(text="t")) as teacher:
        with Running(tmp_path, student.url, teacher.url) as gateway:
            gateway.wait_ready()
            before = ask(gateway, "walrus 0")
            gateway.wait(lambda health: health["traces"]["written"] == 1)
            with locked(data):
                names = [ask(gateway, f"walrus {number}") for number in range(1, 4)]
                kept = ask(gateway, "seal")
                gateway.wait(lambda health: health["traces"]["spooled"] == 4)
                status, _, body = gateway.call(f"/v1/traces/{names[0]}", b"", "DELETE")
                assert (status, msgspec.json.decode(body)["traces"]) == (200, names[:1])
                assert gateway.admin("/admin/forget", {"traces": [names[1], before]}) == (
                    201,
                    {"traces": [before, names[1]]},
                )
                done = forget(gateway, names[2])
                assert "1 traces are forgotten" in done, done
                assert all(forgotten(gateway, name) for name in names)
                assert not forgotten(gateway, kept)
                assert files_with(data / "spool", b"walrus") == []
            gateway.wait(lambda health: health["traces"]["spooled"] == 0)
            assert [forgotten(gateway, name) for name in (*names, before, kept)] == [True] * 4 + [False]
            with locked(data):
                last = [ask(gateway, "walrus last"), ask(gateway, "seal last")]
                gateway.wait(lambda health: health["traces"]["spooled"] == 2)
                gateway.__exit__()
                time.sleep(0.5)  # the recording process has ended too
                assert "1 traces are forgotten" in forget(gateway, last[0])
        assert asyncio.run(stored(data)) == [kept]
        with Running(tmp_path, student.url, teacher.url) as gateway:
            gateway.wait(lambda health: health["traces"]["spooled"] == 0)
        assert asyncio.run(stored(data)) == [kept, last[1]]
    assert [path for path in files_with(data, b"walrus") if path.suffix != ".log"] == []


def forget(gateway: Running, name: str) -> str:
    told: Any = nightschool(
        "traces", "forget", name, "--yes", home=gateway.home, NIGHTSCHOOL_GATEWAY_PORT=str(gateway.port)
    )
    return str(told.stdout + told.stderr)


async def test_what_cannot_leave_the_datasets_yet_stays_known_to_the_store(tmp_path: Path) -> None:
    """Until it can, and then it leaves both: nobody could tell any more whose examples these are."""
    folder = tmp_path / "datasets" / "d"
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_bytes(msgspec.json.encode({"traces": ["a"]}))
    (folder / "train.jsonl").mkdir()  # which cannot be read
    keeping = Keeping(Orders.of(tmp_path), lambda trace: trace)
    assert await keeping.keep([answered("a", "walrus")])
    assert await keeping.forget(["a"]) == {"a": "wire-a"}
    assert (await stored(tmp_path), keeping.waiting) == (["a"], 1)
    (folder / "train.jsonl").rmdir()
    (folder / "train.jsonl").write_bytes(msgspec.json.encode({"traces": ["a"], "text": "walrus"}) + b"\n")
    await asyncio.sleep(AGAIN)
    await keeping.unspool()
    assert (await stored(tmp_path), keeping.waiting) == ([], 0)
    assert files_with(tmp_path, b"walrus") == []
    await keeping.close()


async def test_a_clock_that_leaps_ahead_forgets_a_week_and_not_everything(tmp_path: Path) -> None:
    now, day = time.time(), 86400.0
    keeping = Keeping(Orders.of(tmp_path, keep_days=30.0), lambda trace: trace)
    ages = {"old": 400, "of the week": 390, "young": 370, "new": 0}
    assert await keeping.keep([msgspec.structs.replace(trace(name), created=now - ages[name] * day) for name in ages])
    async with await TraceStore.open(tmp_path / "traces.db") as store:
        assert await store.believed(now - 365 * day) == now - 365 * day
        for _ in range(2):
            await keeping.tidy()
            assert await stored(tmp_path) == ["young", "new"]
        assert await store.believed(1.0) == 1.0  # and one that jumps back ages nothing, nor does it stop the ageing
        assert await store.believed(now) > now - 365 * day
    await keeping.close()


async def test_what_is_too_old_leaves_the_datasets_and_what_makes_room_stays(tmp_path: Path) -> None:
    folder = tmp_path / "datasets" / "d"
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_bytes(msgspec.json.encode({"traces": ["old", "new"]}))
    now = time.time()
    ages = {"old": 9.0, "new": 0.5}  # days
    lines = {name: _line(name, now - ages[name] * 86400) for name in ages}
    (folder / "train.jsonl").write_bytes(b"".join(lines.values()))
    plain = Orders.of(tmp_path)
    keeping = Keeping(plain, lambda trace: trace)
    recent = msgspec.structs.replace(answered("new", "Where?"), created=time.time())
    assert await keeping.keep([answered("old", "Where?"), recent])
    await keeping.tidy()
    assert await stored(tmp_path) == ["old", "new"]
    await keeping.close()
    aged = Keeping(msgspec.structs.replace(plain, keep_days=1.0), lambda trace: trace)
    await aged.tidy()
    assert await stored(tmp_path) == ["new"]
    assert (folder / "train.jsonl").read_bytes() == lines["new"]
    (folder / "train.jsonl").write_bytes(
        b"".join([_line("only here", 1.0), _line("unknown age", 0.0), *lines.values()])
    )
    await aged.tidy()  # datasets are looked through once a day, and as soon as the process is there
    assert len((folder / "train.jsonl").read_bytes().splitlines()) == 4
    await aged.close()
    aged = Keeping(msgspec.structs.replace(plain, keep_days=1.0), lambda trace: trace)
    await aged.tidy()
    assert (folder / "train.jsonl").read_bytes() == _line("unknown age", 0.0) + lines["new"]
    await aged.close()
    full = Keeping(msgspec.structs.replace(plain, keep_bytes=1), lambda trace: trace)
    await full.tidy()
    assert await stored(tmp_path) == []
    assert (folder / "train.jsonl").read_bytes() == _line("unknown age", 0.0) + lines["new"]
    assert await full.forget(["nowhere"]) == {}
    assert await full.forget(["new", "nowhere"]) == {"new": ""}  # what is only there can be forgotten all the same
    assert (folder / "train.jsonl").read_bytes() == _line("unknown age", 0.0)
    await full.close()


async def test_what_is_only_in_datasets_is_found_by_id_client_and_conversation(tmp_path: Path) -> None:
    folder = tmp_path / "datasets" / "d"
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_bytes(msgspec.json.encode({"traces": ["a", "b"]}))
    (folder / "train.jsonl").write_bytes(
        _line("a", 5.0, client="laptop") + b"broken\n" + _line("b", 9.0, conversation="c")
    )
    async with await TraceStore.open(tmp_path / "traces.db") as store:

        async def meant(names: list[str], **wanted: Any) -> list[str]:
            return await chosen(store, tmp_path, names, Wanted(**wanted))

        assert await meant(["a", "nowhere"]) == ["a"]
        assert await meant([], client="laptop") == ["a"]
        assert await meant([], conversation="c") == ["b"]
        assert await meant([], until=6.0) == ["a"]
        assert await meant([]) == []


def _line(name: str, created: float, **more: str) -> bytes:
    """An example, as far as it tells where it comes from."""
    return msgspec.json.encode({"traces": [name], "created": created, **more}) + b"\n"
