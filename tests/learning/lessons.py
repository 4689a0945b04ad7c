"""Conversations as datasets: written as they are, or through a store and the night's filters. Owns the way there."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from distill.collecting import Collector
from distill.dataset.example import Example, line_of
from distill.facts import Cache
from distill.filters import Rules
from distill.generate.answers import Answers
from distill.snapshots import Snapshots
from distill.store.store import TraceStore
from distill.trace import Trace
from router.chat import AnswerMessage, ChatRequest
from router.decision import Decision
from tests.learning.played import Played

_ROOT = Path(__file__).resolve().parents[2]


def write(these: Sequence[Played], file: Path) -> None:
    """A dataset's lines of conversations as they are."""
    file.write_bytes(b"".join(line_of(_example(number, one)) for number, one in enumerate(these)))


def _example(number: int, one: Played) -> Example:
    return Example(f"c{number}", one.question.repository, [], one.messages, one.tools)


async def write_sifted(these: Sequence[Played], repositories: Path, file: Path) -> dict[str, int]:
    """A dataset's lines of what the filters leave of conversations; how many were dropped by reason, how many are left,
    and how many spoilt ones are among these. Files of its own lie beside `file`."""
    home = file.parent / "home"
    home.mkdir()
    facts = Cache.of_data(home).facts
    answers = Answers.from_folder(_ROOT / "data" / "questions", _ROOT / "data" / "vocabularies", facts)
    snapshots = Snapshots(home / "snapshots", [], Path.home(), repositories)
    dropped, examples = Counter[str](), list[Example]()
    async with await TraceStore.open(home / "traces.db") as store:
        for number, one in enumerate(these):
            await store.insert(_traces(f"c{number}", number, one))
        collector = Collector(store, home, Rules(), frozenset(), snapshots, "", answers)
        async for sifted in collector.sifted(await store.watermark()):
            examples += sifted.examples
            dropped.update(sifted.dropped)
    await asyncio.to_thread(file.write_bytes, b"".join(map(line_of, examples)))
    spoilt = {f"c{number}" for number, one in enumerate(these) if one.spoilt}
    return {
        **dict(sorted(dropped.items())),
        "left": len(examples),
        "of them spoilt": sum(example.conversation in spoilt for example in examples),
        "good lost": len(these) - len(spoilt) - sum(example.conversation not in spoilt for example in examples),
    }


def _traces(conversation: str, number: int, one: Played) -> list[Trace]:
    """A trace for each thing the assistant said."""
    metadata = {"repository": one.question.repository, "commit": one.version}
    made: list[Trace] = []
    for at, message in enumerate(one.messages):
        if message.role == "assistant":
            request = ChatRequest("teacher", one.messages[:at], tools=one.tools, metadata=metadata)
            made.append(
                Trace(
                    f"{conversation}.{at}",
                    1e9 + number * 100 + at,
                    conversation,
                    request,
                    "completed",
                    Decision("teacher", "requested"),
                    answer=AnswerMessage(message.content, message.tool_calls),
                    finish_reason="tool_calls" if message.tool_calls else "stop",
                    model="expert",
                )
            )
    return made
