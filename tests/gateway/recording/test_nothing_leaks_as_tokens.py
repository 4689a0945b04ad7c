"""Planted secrets on their way through the embedded student: none is left in token ids, or in prefixes on disk."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import msgspec
import pytest

from distill.mlx import lora
from distill.mlx.load import load
from distill.render import Renderer
from distill.store.store import TraceStore
from distill.trace import Trace
from gateway.backends.scripted import Act
from gateway.engine.prefixes.prefixfile import header_end, read_card
from tests.distill.redact.planted import KINDS
from tests.gateway.recording.searching import Hunt, ids_of
from tests.gateway.running import READ_FILE, Running, Script

pytestmark = [pytest.mark.model, pytest.mark.gateways, pytest.mark.timeout(300)]

_PLAIN = "You are of few words. You never guess."


class Day(msgspec.Struct):
    home: Path
    student: Path
    secrets: list[str]


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory, student_folder: Path) -> Day:
    """A home after a day with a log that tells what is said."""
    home = tmp_path_factory.mktemp("home")
    (first, one), (second, other) = (KINDS[name](random.Random(name)) for name in ("github", "password in words"))
    (home / "models").mkdir()
    (home / "models" / "smollm2-135m").symlink_to(student_folder)
    settings = {"student__model": "embedded", "router__confidence": 0, "gateway__log_content": "true"}
    with Script(Act(text="teacher")) as teacher, Running(home, "", teacher.url, **settings) as gateway:
        gateway.wait(lambda health: health["student"]["ready"] and health["teacher"]["ready"], 200)
        teach(gateway)
        for system in (f"{_PLAIN}\n{first}", _PLAIN):
            for said in ("What is the capital of France?", "What is the capital of Italy?"):
                ask(gateway, [{"role": "system", "content": system}, {"role": "user", "content": said}])
        said = f"{second}\nWhat is the capital of Spain?"
        turns = [{"role": "system", "content": _PLAIN}, {"role": "user", "content": said}]
        turns = [*turns, ask(gateway, turns), {"role": "user", "content": "What is the capital of France?"}]
        ask(gateway, turns)
    return Day(home, student_folder, [one, other])


def teach(gateway: Running) -> None:
    """An adapter that changes nothing, without which the student would not be asked."""
    folder = gateway.home / "models" / "adapters" / "unchanged"
    folder.mkdir(parents=True)
    model = load(gateway.home / "models" / "smollm2-135m").model
    config = lora.config_of(rank=2, scale=1.0, layers=1)
    lora.wrap(model, config)
    lora.write(folder, lora.adapter_tensors(model), config)
    gateway.admin("/admin/proposals", {"adapter": "unchanged", "path": str(folder), "verdict": {"passed": True}})


def ask(gateway: Running, messages: list[dict[str, Any]]) -> dict[str, Any]:
    body = {"messages": messages, "tools": [READ_FILE], "max_tokens": 40, "temperature": 0}
    status, _, answer = gateway.chat(body=body)
    assert status == 200
    message: dict[str, Any] = answer["choices"][0]["message"]
    return message


async def test_token_ids_tell_nothing_and_are_there_where_nothing_was_planted(day: Day) -> None:
    ids = await ids_of(day.home / "data" / "traces.db")
    renderer = Renderer(day.student)
    assert Hunt(day.secrets).in_bytes("\0".join(map(renderer.decode, ids.values())).encode()) == set()
    async with await TraceStore.open_to_read(day.home / "data" / "traces.db") as store:
        traces: list[Trace] = [trace for _, trace in await store.after(0)]
    assert len(traces) == 6
    served = {trace.id for trace in traces if trace.decision.arm == "student"}
    planted = [trace for trace in traces if trace.redacted]
    assert len(planted) == 4
    digests = {trace.id for trace in planted if trace.served_digest}
    assert digests == served & {trace.id for trace in planted} != set()
    assert ids.keys() == served - digests != set()


def test_prefixes_on_disk_tell_nothing(day: Day) -> None:
    renderer, hunt = Renderer(day.student), Hunt(day.secrets)
    texts = [renderer.decode(tokens_of(path)) for path in (day.home / "data" / "prefixes").glob("*.safetensors")]
    assert any(_PLAIN in text for text in texts)
    assert hunt.in_bytes("\0".join(texts).encode()) == set()


def test_the_log_alone_has_them_as_it_was_asked_to(day: Day) -> None:
    hunt, log = Hunt(day.secrets), day.home / "serve.log"
    assert hunt.in_files(day.home, but=[log]) == {}
    assert hunt.in_database(day.home / "data" / "traces.db") == set()
    assert hunt.in_bytes(log.read_bytes()) == set(day.secrets)


def tokens_of(path: Path) -> list[int]:
    content = path.read_bytes()
    return list(read_card(content[: header_end(content)]).tokens)
