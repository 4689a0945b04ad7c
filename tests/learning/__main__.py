"""`python -m tests.learning OUT=folder ARMS=name,name SEEDS=0,1`: the learning curve of the embedded student.

The expert answers questions of the demo's kinds about ten packages; students learn from so many of its conversations,
and are looked at on four packages that nobody learnt from. One JSON line for each arm and seed. What is in the folder
is not made again, so a curve that was stopped goes on; training one takes from minutes to an hour.
"""

from __future__ import annotations

import asyncio
import json
import random
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from distill.atomic import write_atomically
from distill.examination.drawn import read_drawn
from distill.train.order import Order, ordered, write_order
from distill.train.recipe import recipe_of
from gateway.demo.story import TAUGHT
from tests.bench import weights
from tests.learning import lessons
from tests.learning.arms import ARMS, UNSEEN, UNSEEN_THOUGHTS, Arm
from tests.learning.played import Played, played, spoil, thinking

_ROOT = Path(__file__).resolve().parents[2]
_EACH = 420  # questions about each package, of which some are kept apart
_APART = 40
_UNSEEN = 192
_DEMO = _ROOT / "data" / "examinations" / "demo.toml"


def main(words: Sequence[str]) -> int:
    wanted = {"OUT": "learning", "ARMS": ",".join(ARMS), "SEEDS": "0", "EACH": str(_EACH), "UNSEEN": str(_UNSEEN)}
    for word in words:
        name, mark, value = word.partition("=")
        if not mark or name not in wanted:
            sys.stderr.write(f"{word!r} is not understood; there are {', '.join(f'{known}=' for known in wanted)}\n")
            return 1
        wanted[name] = value
    arms = wanted["ARMS"].split(",")
    if unknown := sorted({*arms} - {*ARMS}):
        sys.stderr.write(f"there is no arm {unknown[0]!r}; there are {', '.join(ARMS)}\n")
        return 1
    out = Path(wanted["OUT"]).resolve()
    if not (out / "data").exists():
        asyncio.run(_make(out, int(wanted["EACH"]), int(wanted["UNSEEN"])))
    base = out / "base"
    if not base.exists():
        weights.float32(weights.student(), base)
    for seed in map(int, wanted["SEEDS"].split(",")):
        for name in arms:
            sys.stdout.write(json.dumps({"arm": name, "seed": seed, **_learnt(out, base, name, seed)}) + "\n")
            sys.stdout.flush()
    return 0


async def _make(out: Path, each: int, unseen: int) -> None:
    """All datasets, each with the same conversations kept apart; the smaller ones are the beginnings of the larger."""
    work, data = out / "repositories", out / "making"
    shutil.rmtree(data, ignore_errors=True)  # of one that was stopped
    templates = _ROOT / "data" / "questions"
    demo = read_drawn(_DEMO)
    lesson = msgspec.structs.replace(demo, name="lesson", repositories=list(TAUGHT), questions=each * len(TAUGHT))
    these = await played(lesson, templates, work)
    random.Random(demo.seed).shuffle(these)
    apart, these = these[:_APART], these[_APART:]
    for count in (250, 500, 1000, 4000):
        _write(data / str(count), these[:count], apart)
    spoilt = spoil(these[:1000], 0.5, random.Random(demo.seed))
    _write(data / "1000-spoilt", spoilt, apart)
    _write(data / "1000-filtered", [], apart)
    told = await lessons.write_sifted(spoilt, work, data / "1000-filtered" / "train.jsonl")
    (data / "filtered.json").write_text(json.dumps(told, indent=2))
    _write(data / "1000-thoughts", [thinking(one) for one in these[:1000]], [thinking(one) for one in apart])
    others = await played(msgspec.structs.replace(demo, questions=unseen), templates, work)
    lessons.write(others, data / UNSEEN)
    lessons.write([thinking(one) for one in others], data / UNSEEN_THOUGHTS)
    data.rename(out / "data")


def _write(folder: Path, these: Sequence[Played], apart: Sequence[Played]) -> None:
    folder.mkdir(parents=True)
    lessons.write(these, folder / "train.jsonl")
    lessons.write(apart, folder / "valid.jsonl")


def _learnt(out: Path, base: Path, name: str, seed: int) -> dict[str, Any]:
    """What an arm comes to; it is trained first, where it was not yet."""
    run = out / "runs" / f"{name}-{seed}"
    seen = run / "unseen.json"
    if not (run / "result.json").exists():
        if not run.exists():
            write_order(ordered(_order(out, base, ARMS[name], seed)), run)
        _process("distill.train", run)
    if not seen.exists():
        write_atomically(
            seen, _process("tests.learning.unseen", base, run / "adapter", out / "data" / ARMS[name].unseen)
        )
    result = json.loads((run / "result.json").read_text())
    told = ("examples", "too_long", "steps", "last_loss", "seconds", "best", "peak_memory_bytes")
    return {**json.loads(seen.read_bytes()), **{field: result[field] for field in told}}


def _order(out: Path, base: Path, arm: Arm, seed: int) -> Order:
    recipe = recipe_of({**arm.recipe, "seed": seed}, arm.preset)
    teacher = {}
    if arm.teacher:
        teacher = {"teacher": str(base), "teacher_adapter": str(out / "runs" / f"{arm.teacher}-0" / "adapter")}
    return Order(str(base), str(out / "data" / arm.data), recipe, **teacher)


def _process(module: str, *words: Path) -> bytes:
    """A module as a process; what it says on stdout. MLX wants its BLAS first."""
    command = [sys.executable, "-m", module, *map(str, words)]
    return subprocess.run(command, cwd=_ROOT, stdout=subprocess.PIPE, check=True).stdout


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
