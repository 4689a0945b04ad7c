"""Worker threads that compute: each has an MLX stream of its own, so two of them keep two cores busy.

Owns the threads and nothing that they work on. Whatever a piece of work leaves behind must be evaluated, since lazy
arrays belong to the thread that made them. Knows nothing of models or jobs.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import mlx.core as mx


@dataclass(frozen=True)
class Done:
    """A piece of work is over: its result, or what it raised."""

    lane: int
    work: Callable[[], Any]
    result: Any = None
    error: Exception | None = None


class Lanes:
    """`count` threads; each does one piece of work at a time and reports it by calling `report` from its thread."""

    def __init__(self, count: int, report: Callable[[Done], None]) -> None:
        self._report = report
        self._work: list[queue.SimpleQueue[Callable[[], Any] | None]] = [queue.SimpleQueue() for _ in range(count)]
        self._threads = [
            threading.Thread(target=self._main, args=(lane,), name=f"lane-{lane}", daemon=True) for lane in range(count)
        ]
        self.free = set(range(count))
        for thread in self._threads:
            thread.start()

    def start(self, lane: int, work: Callable[[], Any]) -> None:
        """Give a free lane something to do; whoever hears of the end puts the lane back into `free`."""
        self.free.remove(lane)
        self._work[lane].put(work)

    @property
    def alive(self) -> bool:
        return all(thread.is_alive() for thread in self._threads)

    def close(self) -> None:
        """End each thread after what it is doing."""
        for work in self._work:
            work.put(None)
        for thread in self._threads:
            thread.join()

    def _main(self, lane: int) -> None:
        with mx.stream(mx.new_thread_local_stream(mx.default_device())):
            while (work := self._work[lane].get()) is not None:
                try:
                    done = Done(lane, work, result=work())
                except Exception as error:  # noqa: BLE001 - belongs to whoever asked for the work
                    done = Done(lane, work, error=error)
                del work  # its arrays end on this thread
                self._report(done)
                del done
        mx.clear_streams()  # a thread that leaves streams behind takes the process down at its exit
