"""What a context that forgets costs in quality: the examination `long`, with all of the context kept and with windows.

Every question stands behind a long conversation. The student is the embedded one with the adapter that ADAPTER names
(`make demo` leaves one in demo/home/models/adapters), without which it answers next to nothing.
"""

from __future__ import annotations

import asyncio
import shutil
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from openai import AsyncOpenAI

from distill.agent import Conversation
from distill.examination.drawn import DrawnExamination, read_drawn, set_drawn
from distill.examination.items import Item
from distill.examination.marking import Mark
from distill.examination.scores import score
from distill.examination.sitting import Pace, examine
from tests.bench import servers, weights
from tests.bench.options import Options
from tests.bench.servers import Server
from tests.bench.weights import CHECKOUT

_SIZES = (0, 8192, 2048)  # tokens kept; 0: all
_AT_ONCE = 8
_ADAPTER = "examined"

Sitting = list[tuple[Mark, Conversation]]


def window(options: Options) -> dict[str, Any]:
    """`value` is the share of exact calls at the smallest window over that with everything kept."""
    examination = read_drawn(CHECKOUT / "data" / "examinations" / "long.toml")
    sizes = _SIZES[-1:] if options.tiny else _SIZES
    with tempfile.TemporaryDirectory() as work:
        items = asyncio.run(set_drawn(examination, CHECKOUT / "data" / "questions", Path(work)))
        items = items[:2] if options.tiny else items
        found = {size: _sit(size, items, examination, options) for size in sizes}
    lines = {str(size or "all"): _line(sitting, found[sizes[0]]) for size, sitting in found.items()}
    first, last = lines[str(sizes[0] or "all")], lines[str(sizes[-1])]
    return {
        "value": round(last["exact_calls"] / first["exact_calls"], 3) if first["exact_calls"] else None,
        "unit": f"exact calls at {sizes[-1]} tokens kept, of those with all kept",
        "questions": len(items),
        "adapter": options.adapter.name if options.adapter else None,
        "by_size": lines,
    }


def _sit(size: int, items: Sequence[Item], examination: DrawnExamination, options: Options) -> Sitting:
    """One engine with a window of `size` tokens, and the whole examination put to it."""
    more = {"max_kv_size": size} if size else {}
    student = weights.student()
    with (
        tempfile.TemporaryDirectory() as home,
        servers.engine(student, Path(home), threads=options.threads, **more) as server,
    ):
        model = _named(server, Path(home), options.adapter)
        return asyncio.run(_examined(server, model, items, examination))


def _named(server: Server, home: Path, adapter: Path | None) -> str:
    """The model's name on the wire, its adapter loaded. Raises RuntimeError when the engine refuses that."""
    if adapter is None:
        return server.model
    folder = home / "models" / "adapters" / _ADAPTER
    shutil.copytree(adapter, folder)
    status, text = server.post("/v1/load_lora_adapter", {"lora_name": _ADAPTER, "lora_path": str(folder)})
    if status != 200:
        raise RuntimeError(f"the engine does not take {adapter}: {text}")
    return _ADAPTER


async def _examined(server: Server, model: str, items: Sequence[Item], examination: DrawnExamination) -> Sitting:
    async with AsyncOpenAI(base_url=f"{server.url}/v1", api_key="none", timeout=600) as client:
        return await examine(client, model, items, pace=Pace(_AT_ONCE), max_tokens=examination.max_tokens)


def _line(sitting: Sitting, whole: Sitting) -> dict[str, Any]:
    """Hits, and how they differ from the sitting with everything kept."""
    marks, before = [mark for mark, _ in sitting], [mark for mark, _ in whole]
    scored = score(marks)
    prompts = [turn.prompt_tokens for _, conversation in sitting for turn in conversation.turns]
    return {
        "exact_calls": scored.exact_calls.hits,
        "right_answers": scored.right_answers.hits,
        "tool_use": f"{scored.autonomous_tool_use.hits} of {scored.autonomous_tool_use.of}",
        "lost": sum(old.exact and not new.exact for old, new in zip(before, marks, strict=True)),
        "gained": sum(new.exact and not old.exact for old, new in zip(before, marks, strict=True)),
        "ends": _counted(sitting),
        "prompt_tokens": statistics.median(prompts) if prompts else 0,
        "seconds": round(statistics.median(mark.seconds for mark in marks), 2),
    }


def _counted(sitting: Sitting) -> dict[str, int]:
    ends = [conversation.end for _, conversation in sitting]
    return {end: ends.count(end) for end in sorted(set(ends))}


RUNS = {"window": window}
