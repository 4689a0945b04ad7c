"""How long a dataset takes to build, and how much memory: from generated examples in a file, in a process of its own.

A tenth of the examples says what another one says, a tenth nearly. As many are chosen as a mixture takes by default,
out of as many as `EXAMPLES=n` says.
"""

from __future__ import annotations

import random
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from distill.dataset import Example, Inputs, build, stream_examples
from distill.dataset.contamination import Passage
from distill.dataset.example import line_of
from distill.tools import SPECS
from router.chat import FunctionCall, Message, ToolCall
from tests.bench.options import Options

_WORDS = [f"{begin}{middle}{end}" for begin in "bdfgklmnprstvz" for middle in "aeiou" for end in ("", "l", "n", "rd")]
_CLIENTS, _REPOSITORIES, _DAYS, _PASSAGES = 40, 60, 90, 400
_TINY = 2000


def dataset_build(options: Options) -> dict[str, Any]:
    """`value` is seconds from the first example read to the last file written."""
    count = _TINY if options.tiny else options.examples
    with tempfile.TemporaryDirectory() as work:
        source = Path(work, "examples.jsonl")
        _write(source, count)
        with ProcessPoolExecutor(1, get_context("spawn")) as process:
            return process.submit(_build, source, Path(work, "datasets"), count).result()


def _build(source: Path, home: Path, count: int) -> dict[str, Any]:
    before, started = _peak(), time.monotonic()
    read = sum(1 for _ in stream_examples(source))
    reading = time.monotonic() - started
    passages = [
        Passage(_said(random.Random(f"exam/{n}"), 18), _said(random.Random(f"answer/{n}"), 6)) for n in range(_PASSAGES)
    ]
    started, computed = time.monotonic(), time.process_time()
    made = build(Inputs(lambda: stream_examples(source), passages=passages), home)
    seconds = time.monotonic() - started
    return {
        "value": round(seconds, 1),
        "unit": "s",
        "processor_seconds": round(time.process_time() - computed, 1),
        "examples": count,
        "bytes": source.stat().st_size,
        "train": made.train,
        "valid": made.valid,
        "reading_once_seconds": round(reading, 1),
        "microseconds_an_example": round(seconds / read * 1e6),
        "peak_memory_bytes": _peak(),
        "memory_before_bytes": before,
    }


def _write(path: Path, count: int) -> None:
    with path.open("wb") as file:
        for example in _examples(count):
            file.write(line_of(example))


def _examples(count: int) -> Iterator[Example]:
    for number in range(count):
        kind = number % 10
        chance = random.Random(number if kind > 1 else number - kind - 1)  # two of ten say what the last one said
        yield _example(number, chance, changed=kind == 1)


def _example(number: int, chance: random.Random, *, changed: bool) -> Example:
    """A question, one to five calls with their results, and an answer; some three kilobytes."""
    asked = _said(chance, 25)
    messages = [Message("system", "Answer questions about the code."), Message("user", asked)]
    for turn in range(chance.randrange(1, 6)):
        tool = chance.choice(SPECS).function.name
        call = ToolCall(f"c{number}.{turn}", FunctionCall(tool, f'{{"path": "{_said(chance, 3, "/")}"}}'))
        messages += [Message("assistant", None, [call]), Message("tool", _said(chance, 60), tool_call_id=call.id)]
    answer = _said(chance, 60) + (" and that is all" if changed else "")
    messages.append(Message("assistant", answer))
    return Example(
        conversation=f"conversation {number}",
        repository=f"repository {number % _REPOSITORIES}",
        traces=[f"{number:032x}"],
        messages=messages,
        tools=SPECS,
        client=f"client {number % _CLIENTS}",
        created=1.76e9 + 86400.0 * (number % _DAYS),
        model="teacher",
    )


def _said(chance: random.Random, count: int, between: str = " ") -> str:
    return between.join(chance.choices(_WORDS, k=count))


def _peak() -> int:
    """Bytes this process has held at most, pages of mapped files included."""
    status = Path("/proc/self/status")
    if status.exists():  # what getrusage says begins with what the parent held
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


RUNS = {"dataset-build": dataset_build}
