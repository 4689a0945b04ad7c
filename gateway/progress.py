"""Progress bars for long work, one line a stage. Owns how it looks; knows nothing of what is done."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)


class Bars:
    """Stages one after another. Keeps how long each took, in seconds."""

    def __init__(self, console: Console) -> None:
        columns = [
            SpinnerColumn(finished_text="✓"),
            TextColumn("{task.description:<26}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[note]}"),
        ]
        self._console = console
        self._bars = Progress(*columns, console=console, disable=not console.is_terminal)
        self._task: TaskID | None = None
        self._name = ""
        self._started = 0.0
        self.seconds: dict[str, float] = {}

    def stage(self, name: str, total: int | None) -> None:
        """Begin a stage, or tell the size of the present one."""
        if name == self._name and self._task is not None:
            self._bars.update(self._task, total=total)
            return
        self.end_stage()
        self._name, self._started = name, time.monotonic()
        self._task = self._bars.add_task(name, total=total, note="")

    def step(self, done: int | None = None, note: str = "") -> None:
        """One more is done, or `done` of them are."""
        if self._task is None:
            return
        if done is None:
            self._bars.advance(self._task)
        else:
            self._bars.update(self._task, completed=done)
        if note:
            self._bars.update(self._task, note=note)

    def end_stage(self) -> None:
        if self._task is None:
            return
        task = self._bars.tasks[self._bars.task_ids.index(self._task)]
        total = task.total if task.total is not None else 1
        self._bars.update(self._task, total=total, completed=total)
        self._bars.stop_task(self._task)
        seconds = self.seconds[self._name] = round(time.monotonic() - self._started, 1)
        if not self._console.is_terminal:  # a log gets a line a stage
            self._console.print(f"{self._name}: {seconds} s {task.fields['note']}".rstrip())
        self._task = None

    def __enter__(self) -> Bars:
        self._bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if error is None:
            self.end_stage()
        self._bars.stop()
