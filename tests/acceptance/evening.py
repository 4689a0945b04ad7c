"""A gateway at the end of a small day, and nights on it by the command."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from openai import AsyncOpenAI

from distill.examination.drawn import DrawnExamination, set_drawn
from distill.examination.sitting import Pace, examine
from tests.gateway.running import ROOT, Running, environment

KINDS = ["class_defined", "function_defined", "sum"]
SMALL = f"""
name = "small"
version = 1
repositories = ["iniconfig"]
questions = 4
seed = 1
max_tokens = 24
kinds = {json.dumps(KINDS)}
"""
NIGHT = """
profile = "embedded"
[night]
minimum = 8
memory_bytes = 1000000000
prompt = ""
recipe = { layers = 2, rank = 2, batch = 4, epochs = 0.5, learning_rate = 1e-4, checkpoint = 1 }
"""


@contextmanager
def evening_of(
    home: Path, *, night: str = NIGHT, kinds: Sequence[str] = KINDS, questions: int = 12, **settings: Any
) -> Iterator[Running]:
    """A gateway on which the expert answered a dozen questions by day."""
    link_model(home)
    (home / "nightschool.toml").write_text(night)
    with evening_on(home, **settings) as gateway:
        asyncio.run(_work(gateway, home, kinds, questions))
        yield gateway


@contextmanager
def evening_on(home: Path, **settings: Any) -> Iterator[Running]:
    """A gateway on a home that is there."""
    with Running(home, "", "", "--profile", "embedded", router__uncertified="shadow", **settings) as gateway:
        gateway.wait(lambda health: health["student"]["ready"] and health["teacher"]["ready"], 200)
        yield gateway


def link_model(home: Path) -> None:
    """The embedded student, if it was made before: it takes a while."""
    (home / "models").mkdir()
    if (ROOT / "models" / "smollm2-135m").is_dir():
        (home / "models" / "smollm2-135m").symlink_to(ROOT / "models" / "smollm2-135m")


async def _work(gateway: Running, home: Path, kinds: Sequence[str], questions: int) -> None:
    lessons = DrawnExamination("day", 1, ["pluggy"], questions, 1, kinds=list(kinds))
    items = await set_drawn(lessons, ROOT / "data" / "questions", home / "data" / "repositories")
    async with AsyncOpenAI(base_url=gateway.url + "/v1", api_key="none") as client:
        done = await examine(client, "nightschool", items, pace=Pace(4), max_tokens=72)
    assert all(mark.right and mark.exact for mark, _ in done)
    await asyncio.sleep(0.5)


def begin_night(
    gateway: Running, examination: Path, *options: str, before: Callable[[], None] | None = None
) -> subprocess.Popen[str]:
    """A night's process, in which `before` is called first."""
    command = [sys.executable, "-m", "gateway.cli", "night", "--config", "nightschool.toml"]
    return subprocess.Popen(
        [*command, "--examination", str(examination), *options],
        env=environment(gateway.home, NIGHTSCHOOL_GATEWAY_PORT=str(gateway.port)),
        cwd=gateway.home,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=before,
    )


def night_of(gateway: Running, examination: Path, before: Callable[[], None]) -> tuple[int, str]:
    """A whole night in a process in which `before` was called."""
    with begin_night(gateway, examination, before=before) as night:
        said = night.communicate(timeout=300)[1]
    return night.returncode, said


def whole_night(gateway: Running, examination: Path, *options: str, seconds: float = 300) -> tuple[int, str]:
    """A night to its end, which has to come within so many seconds; its exit code and what it said."""
    with begin_night(gateway, examination, *options) as night:
        try:
            said = night.communicate(timeout=seconds)[1]
        finally:
            night.kill()  # nothing, where it has ended
    return night.returncode, said
