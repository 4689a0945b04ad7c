"""What a night would do, as tables for a terminal. Knows nothing of how it is found out."""

from __future__ import annotations

import time

from rich.console import Console
from rich.table import Table

from distill.night.diary import Stage
from distill.night.foretelling import Foretold, Training
from gateway.training.wording import clock, size


def tell_foretold(found: Foretold, console: Console) -> None:
    """Each stage with what it would do, and what that takes as far as it is known."""
    table = Table(title=f"The night {found.resumed}, gone on with" if found.resumed else "The next night")
    for heading, justify in (("stage", "left"), ("what", "left"), ("time", "right"), ("memory", "right")):
        table.add_column(heading, justify=justify)  # type: ignore[arg-type]
    table.add_row("label", "the teacher is asked about what nobody confirmed", *_last(found, "label"))
    learnt = f"{found.conversations} conversations of {found.traces} traces pass, {found.new} of them new"
    table.add_row("filter", learnt, *_last(found, "filter"))
    for one in found.trainings:
        table.add_row("train", *_training(one))
    asked = ", ".join(f"{label} {count}" for label, count in found.questions.items() if count)
    table.add_row("examine", f"questions: {asked}", *_last(found, "examine"))
    table.add_row("certify", "what passes is asked the day's requests again", *_last(found, "certify"))
    table.add_row("propose", f"beside {found.serves or 'the base'}, which serves", "", "")
    console.print(table)
    if found.dropped:
        console.print(f"Dropped: {', '.join(f'{reason} {count}' for reason, count in found.dropped.items())}")
    known = sum(one.found.seconds for one in found.trainings if one.found)
    known += sum(done.seconds for done in found.last.values())
    missing = "" if found.last else "; how long the other stages take is known after the first night"
    console.print(f"Altogether {clock(known)}{missing}")
    if found.deadline is not None:
        console.print(f"It has {clock(max(0.0, found.deadline - time.time()))}")


def _training(one: Training) -> tuple[str, str, str]:
    what = f"{one.parent} further" if one.parent else "from the base"
    told = f"{what}, on {one.conversations} conversations"
    if one.found is None:
        return f"{told}: there already", "", ""
    return f"{told}: {one.found.steps} steps", clock(one.found.seconds), size(one.found.memory_bytes)


def _last(found: Foretold, stage: Stage) -> tuple[str, str]:
    done = found.last.get(stage)
    return (clock(done.seconds), size(done.memory)) if done is not None else ("", "")
