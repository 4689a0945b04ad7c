"""A run while it goes: in a terminal a view that changes, in a log a line now and then. Owns how it looks; knows
nothing of how steps come about.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from distill.train.record import Look, Step
from gateway.training.wording import clock, seen, size, sparkline

_WINDOW = 20  # steps, the last ones, that say how fast it goes
_PAUSE = 30.0  # seconds between two lines of a log


class Watch:
    """The view of one run; `before` are the steps that it has behind it, and it has `begun` when there is a new one."""

    def __init__(self, console: Console, before: Sequence[Step]) -> None:
        self._console, self._steps = console, list(before)
        self._spinner = Spinner("dots", "loading base and dataset")
        self.begun = False
        self._told = float("-inf")
        self._live = Live(get_renderable=self._view, console=console, refresh_per_second=4)

    def step(self, step: Step) -> None:
        """One more is done."""
        self._steps = [*self._steps[: step.step - 1], step]
        self.begun = True
        now = time.monotonic()
        if not self._console.is_terminal and (step.look or step.step == step.steps or now - self._told > _PAUSE):
            self._told = now
            self._console.print(Text(line_of(self._steps)), soft_wrap=True)

    def _view(self) -> Group | Spinner:
        if not self.begun:
            return self._spinner
        last = self._steps[-1]
        bar = Table.grid(padding=(0, 2))
        bar.add_row(
            ProgressBar(total=last.steps, completed=last.step, width=32),
            f"{last.step}/{last.steps} steps",
            clock(last.seconds),
            f"{clock(seconds_left(self._steps))} left",
        )
        losses = [step.loss for step in self._steps]
        figures = f"loss {last.loss:.3f} {sparkline(losses)}  {_pace(self._steps)}  {size(last.memory)}"
        looks = looks_of(self._steps)
        apart = [Text(seen(looks[-1]))] if looks else []
        return Group(bar, Text(figures), *apart)

    def __enter__(self) -> Watch:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._console.is_terminal:
            self._live.stop()


def looks_of(steps: Sequence[Step]) -> list[Look]:
    return [step.look for step in steps if step.look]


def line_of(steps: Sequence[Step]) -> str:
    """Where a run stands, in one line."""
    last = steps[-1]
    looked = f", {seen(last.look)}" if last.look else ""
    return (
        f"step {last.step}/{last.steps}, loss {last.loss:.3f}, {_pace(steps)}, {clock(seconds_left(steps))} left, "
        f"{size(last.memory)}{looked}"
    )


def seconds_left(steps: Sequence[Step]) -> float:
    """At the pace of the last steps."""
    last = steps[-1]
    return _seconds(steps) / min(len(steps), _WINDOW) * (last.steps - last.step)


def _pace(steps: Sequence[Step]) -> str:
    window, seconds = steps[-_WINDOW:], max(_seconds(steps), 1e-9)
    examples, tokens = (sum(counts) / seconds for counts in ([s.examples for s in window], [s.tokens for s in window]))
    return f"{examples:.2f} examples/s  {tokens:,.0f} tokens/s"


def _seconds(steps: Sequence[Step]) -> float:
    """That the last steps took."""
    before = steps[-_WINDOW - 1].seconds if len(steps) > _WINDOW else 0.0
    return steps[-1].seconds - before
