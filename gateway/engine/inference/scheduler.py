"""Who is next: the order in which waiting generations are admitted, computed and decoded.

Owns the queue and the rules of fairness. Pure decisions: knows nothing of MLX, memory or clocks; what it must know of
them it is told.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gateway.engine.inference.generation import Generation

_OLDEST_EVERY = 4  # of so many prompt chunks one goes to who came first, the others to who needs the least


@dataclass(frozen=True)
class Step:
    """Take these rows in, let those go, compute the prompts of `filling` as far as one step goes, the first ones first,
    and give every row its next token."""

    joining: list[Generation]
    leaving: list[Generation]
    filling: list[Generation]


class Scheduler:
    """At most `batch` generations are under way at once. For the time of steps with prompts in them, `share` of it goes
    to steps without, so that running streams go on; 0 where they lose nothing by going along."""

    def __init__(self, batch: int, share: float = 0.0) -> None:
        self._batch = batch
        self.share = share
        self.waiting: list[Generation] = []
        self.filling: list[Generation] = []  # admitted, prompt not computed
        self.decoding: list[Generation] = []  # prompt computed; in the batch, or about to join it
        self._joining: list[Generation] = []
        self._leaving: list[Generation] = []
        self._returning: list[Generation] = []  # of those that leave: they come back
        self._chunks = 0  # steps with prompts in them
        self._owed = 0.0  # seconds of steps without prompts before the next one with

    @property
    def busy(self) -> bool:
        return bool(self.waiting or self.filling or self.decoding or self._leaving)

    def add(self, generation: Generation) -> None:
        self.waiting.append(generation)

    def again(self, generation: Generation) -> None:
        """Let a decoding row go, to the head of the queue: its memory is needed."""
        in_batch = generation not in self._joining
        self.remove(generation)
        if in_batch:
            self._returning.append(generation)  # once it has left
        else:
            generation.back_to_start()
            self.waiting.insert(0, generation)

    def remove(self, generation: Generation) -> None:
        """It is over, wherever it is. A row in the batch leaves before the next step."""
        if generation in self._returning:
            self._returning.remove(generation)
        if generation in self.waiting:
            self.waiting.remove(generation)
        if generation in self.filling:
            self.filling.remove(generation)
        if generation in self._joining:
            self._joining.remove(generation)
            self.decoding.remove(generation)
        elif generation in self.decoding:
            self.decoding.remove(generation)
            self._leaving.append(generation)

    def admit(self, fits: Callable[[Generation], bool], prefix_is_coming: Callable[[Generation], bool]) -> None:
        """Let in whom there is room for: first whose conversation has the fewest under way, then who came first.

        Who waits for a prefix that another is computing is passed over; who does not fit into memory is not, or
        small requests would starve a large one.
        """
        under_way = Counter(generation.job.conversation for generation in (*self.filling, *self.decoding))
        for generation in sorted(self.waiting, key=lambda g: under_way[g.job.conversation]):
            if len(self.filling) + len(self.decoding) >= self._batch:
                return
            if prefix_is_coming(generation):
                continue
            if not fits(generation):
                return
            self.waiting.remove(generation)
            self.filling.append(generation)

    def next(self) -> Step | None:
        """What to compute now; None: there is nothing."""
        if not (self.filling or self.decoding or self._leaving):
            return None
        filling = [] if self.decoding and self._owed > 0 else self._in_order()
        step = Step(self._joining, self._leaving, filling)
        self._joining, self._leaving = [], []
        return step

    def computed(self, step: Step, ended: Sequence[Generation], seconds: float) -> None:
        """A step is done, it took so long; the rows in `ended` ended with it and are out of the batch."""
        if step.filling:
            self._owed = seconds * self.share
        else:
            self._owed -= seconds
        for generation in [generation for generation in step.leaving if generation in self._returning]:
            self._returning.remove(generation)
            self.waiting.insert(0, generation)
        for generation in ended:
            self.decoding.remove(generation)
        for generation in step.filling:
            if generation in self.filling and generation.to_compute == 0:
                self.filling.remove(generation)
                self.decoding.append(generation)
                self._joining.append(generation)

    def _in_order(self) -> list[Generation]:
        """Who needs the least first; now and then who came first, so that a long prompt is not forgotten."""
        if not self.filling:
            return []
        self._chunks += 1
        order = sorted(self.filling, key=lambda generation: generation.to_compute)
        if self._chunks % _OLDEST_EVERY == 0:
            oldest = min(order, key=lambda generation: generation.arrived)
            order.remove(oldest)
            order.insert(0, oldest)
        return order
