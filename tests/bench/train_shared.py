"""Training beside `mlx_lm.lora --mask-prompt`: the same conversations, model, layers, rank and effective batch.

Each case is a system prompt of so many tokens that all conversations share, and behind it a question with its answer,
or several. Both train in processes of their own on mlx-lm's data layout, on float32 weights, with OpenBLAS. mlx-lm gets
whichever batch, compilation and number of processes is fastest in a trial; gradients are accumulated up to the
effective batch.
"""

from __future__ import annotations

import itertools
import json
import random
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from distill.render import Renderer
from router.chat import Message
from tests.bench import weights
from tests.bench.mlx_lora import MARK
from tests.bench.options import Options

BATCH = 16
RANK, SCALE, RATE = 8, 20.0, 1e-5  # mlx-lm's own; neither changes what a step costs
_LONG = 1000  # tokens of a prefix
_SHOWN = ("batch", "compiled", "processes", "examples_per_second")
_WORDS = ("the", "and", "file", "line", "code", "read", "list", "name", "time", "work", "part", "call", "test", "make")


class Case(NamedTuple):
    """`suffix` are the tokens of each of the `turns` behind the prefix. `layers` counts from the top, 0: all. `alone`
    is the one batch that mlx-lm is tried with, 0: several are."""

    name: str
    prefix: int
    suffix: int
    layers: int
    examples: int
    alone: int = 0
    turns: int = 1


CASES = (
    Case("336 + 67 tokens, 16 layers", 336, 67, 16, 64),
    Case("336 + 67 tokens, all layers", 336, 67, 0, 64),
    Case("4000 + 67 tokens, 16 layers", 4000, 67, 16, 32, alone=1),
    Case("4000 + 67 tokens, all layers", 4000, 67, 0, 32, alone=1),
    Case("nothing shared, 200 tokens, 16 layers", 0, 200, 16, 32),
    Case("336 tokens, then 8 turns of 67, 16 layers", 336, 67, 16, 16, alone=4, turns=8),
)
_TINY = (Case("60 + 30 tokens, 2 layers", 60, 30, 2, 16, alone=16),)


def train_shared(options: Options) -> dict[str, Any]:
    """`value` is how many times the examples/s of mlx-lm, in the first case once what is frozen was computed."""
    with tempfile.TemporaryDirectory() as work:
        base = weights.float32(weights.student(), Path(work, "base"))
        cases = [_case(case, base, Path(work), options) for case in (_TINY if options.tiny else CASES)]
    first = cases[0]
    return {
        "value": first["times"],
        "unit": "× the examples/s of mlx_lm.lora",
        "peers": {"mlx_lm.lora": first["mlx_lm.lora"]["examples_per_second"]},
        "cases": cases,
    }


def _case(case: Case, base: Path, work: Path, options: Options) -> dict[str, Any]:
    data = work / f"data-{case.prefix}-{case.suffix}-{case.turns}"
    write(data, case, Renderer(base))
    ours = _ours(case, base, data, work)
    theirs = _theirs(case, base, data, work, options.threads or 2)
    return {
        "case": case.name,
        "times": round(ours["examples_per_second"] / theirs["examples_per_second"], 2),
        "times_at_first": round(ours["examples_per_second_at_first"] / theirs["examples_per_second"], 2),
        "tokens_per_second": round(ours["examples_per_second"] * (case.prefix + case.turns * case.suffix), 1),
        "nightschool": ours,
        "mlx_lm.lora": theirs,
    }


def write(folder: Path, case: Case, renderer: Renderer) -> None:
    """train.jsonl of conversations with exactly so many tokens."""
    folder.mkdir(exist_ok=True)
    lines = "".join(json.dumps(line) + "\n" for line in conversations(case, renderer))
    (folder / "train.jsonl").write_text(lines)


def conversations(case: Case, renderer: Renderer) -> Iterator[dict[str, Any]]:
    """Of words that are one token each, so that a conversation has as many tokens as it is to have."""
    chance = random.Random(case.prefix)
    words = [word for word in _WORDS if len(renderer.encode(f" {word}")) == 1]

    def text(count: int) -> str:
        return " ".join(["Say", *chance.choices(words, k=count)])

    def ids(*texts: str) -> list[int]:
        messages = [Message(role, said) for role, said in zip(_roles(), texts, strict=False)]
        return [token for part in renderer.segments(messages, None) for token in part.ids]

    def exchange(told: Sequence[str], length: int) -> list[str]:
        """A question and an answer behind what was `told`, so that all of it is so long in tokens."""
        asked, answer = f"{chance.choice(words)} {text(1)}", text(case.suffix // 2)
        more = max(1, length - len(ids(*told, asked, answer)))
        return [" ".join([asked, *chance.choices(words, k=more)]), answer]

    one, two = ids("Say go", "Say yes", "Say go"), ids("Say go", "Tell no", "Say go")
    before = next(at for at, (left, right) in enumerate(zip(one, two, strict=False)) if left != right)
    system = text(max(1, 1 + case.prefix - before))
    for _ in range(case.examples):
        told = [system if case.prefix else text(1)]
        for turn in range(case.turns):
            told += exchange(told, case.prefix + (turn + 1) * case.suffix)
        yield {"messages": [{"role": role, "content": said} for role, said in zip(_roles(), told, strict=False)]}


def _roles() -> Iterator[str]:
    """Of a conversation, without end."""
    return itertools.chain(["system"], itertools.cycle(["user", "assistant"]))


def _ours(case: Case, base: Path, data: Path, work: Path) -> dict[str, Any]:
    """Two epochs and a bit: at first, and once what leaves the frozen layers is kept."""
    steps = -(-case.examples // BATCH)
    recipe = {"rank": RANK, "scale": SCALE, "layers": case.layers, "learning_rate": RATE, "batch": BATCH, "look": 1e9}
    folder = Path(tempfile.mkdtemp(dir=work))
    order = {"base": str(base), "dataset": str(data), "recipe": {**recipe, "max_tokens": 8192}, "steps": 2 * steps}
    (folder / "run.json").write_text(json.dumps(order))
    _run([sys.executable, "-m", "distill.train", str(folder)])
    told = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    began = [0.0, *(step["seconds"] for step in told)]
    rates = [step["examples"] / (step["seconds"] - before) for before, step in zip(began, told, strict=False)]
    result = json.loads((folder / "result.json").read_text())
    return {
        "examples_per_second": round(statistics.median(rates[steps:]), 3),
        "examples_per_second_at_first": round(sum(step["examples"] for step in told[:steps]) / began[steps], 3),
        "peak_memory_bytes": result["peak_memory_bytes"],
        "first_losses": [step["loss"] for step in told[:3]],
    }


def _theirs(case: Case, base: Path, data: Path, work: Path, threads: int) -> dict[str, Any]:
    """The best of its settings: a small batch compiled or not, or in a process for each core that share it; then the
    whole batch at once with what was best."""
    wish = {
        "model": str(base),
        "data": str(_each_turn(data)),
        "num_layers": case.layers or -1,
        "lora_parameters": {"rank": RANK, "dropout": 0.0, "scale": SCALE},
        "learning_rate": RATE,
        "grad_checkpoint": case.prefix > _LONG,  # without, a prompt of 4000 tokens takes more than 24 GB
        "max_seq_length": 8192,
        "iters": 2 if case.prefix > _LONG else 3,
        "mask_prompt": True,
    }

    def tried(batch: int, compiled: bool, processes: int = 1) -> dict[str, Any]:
        more = {
            "batch_size": batch,
            "grad_accumulation_steps": BATCH * case.turns // batch,
            "adapter_path": tempfile.mkdtemp(dir=work),
        }
        command = [sys.executable, "-m", "tests.bench.mlx_lora", json.dumps({**wish, **more})]
        launch = [str(Path(sys.executable).with_name("mlx.launch")), "-n", str(processes), "--backend", "ring"]
        each = [str(max(1, threads // processes)), str(int(compiled))]
        lines = _run([*(launch if processes > 1 else ()), *command, *each]).splitlines()
        found = json.loads(next(line[line.index(MARK) :] for line in reversed(lines) if MARK in line))
        found["examples_per_second"] = round(found["examples_per_second"] / case.turns, 4)
        found["peak_memory_bytes"] *= processes
        return {"batch": batch, "compiled": compiled, "processes": processes, **found}

    found = [tried(case.alone or 4, compiled) for compiled in (False, True)]
    if not case.alone:
        best = max(found, key=_rate)["compiled"]
        found.append(tried(4, best, processes=threads))
        found.append(tried(BATCH, best, max(found, key=_rate)["processes"]))
    return {**max(found, key=_rate), "tried": [{name: one[name] for name in _SHOWN} for one in found]}


def _each_turn(data: Path) -> Path:
    """The same conversations for mlx-lm, which learns from the last turn alone: once up to the end of each turn."""
    lines = [json.loads(line)["messages"] for line in (data / "train.jsonl").read_text().splitlines()]
    ends = [messages[:end] for messages in lines for end in range(3, len(messages) + 1, 2)]
    folder = data / "each-turn"
    folder.mkdir(exist_ok=True)
    for name in ("train", "valid"):  # it wants both
        (folder / f"{name}.jsonl").write_text("".join(json.dumps({"messages": messages}) + "\n" for messages in ends))
    return folder


def _rate(tried: dict[str, Any]) -> float:
    return float(tried["examples_per_second"])


def _run(command: list[str]) -> str:
    done = subprocess.run(command, cwd=weights.CHECKOUT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)[:200]} failed: {done.stderr.strip()[-800:]}")
    return done.stdout


RUNS = {"train-shared": train_shared}
