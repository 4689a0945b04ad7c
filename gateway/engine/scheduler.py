"""Who is next: the order in which waiting generations are admitted, computed and decoded.

Owns the queue and the rules of fairness. Pure decisions: knows nothing of MLX, memory or clocks; what it must know of
them it is told.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from gateway.engine.generation import Generation

_OLDEST_EVERY = 4  # of so many prompt chunks one goes to who came first, the others to who needs the least
_SHARE = 0.25  # of the time that prompts take goes to streams that are running already


@dataclass(frozen=True)
class Fill:
    """Compute a chunk of the prompt of each of these generations, side by side."""

    generations: list[Generation]


@dataclass(frozen=True)
class Decode:
    """Take these rows in, let those go, and give every row its next token."""

    joining: list[Generation]
    leaving: list[Generation]


class Scheduler:
    """At most `batch` generations are under way at once, and the prompts of `abreast` are computed side by side."""

    def __init__(self, batch: int, abreast: int) -> None:
        self._batch = batch
        self._abreast = abreast
        self.waiting: list[Generation] = []
        self.filling: list[Generation] = []  # admitted, prompt not computed
        self.decoding: list[Generation] = []  # prompt computed; in the batch, or about to join it
        self._joining: list[Generation] = []
        self._leaving: list[Generation] = []
        self._returning: list[Generation] = []  # of those that leave: they come back
        self._chunks = 0
        self._owed = 0.0  # seconds of decoding before the next chunk

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

    def next(self) -> Fill | Decode | None:
        """What to compute now; None: there is nothing."""
        if (self.decoding or self._leaving) and (self._owed > 0 or not self.filling):
            work = Decode(self._joining, self._leaving)
            self._joining, self._leaving = [], []
            return work
        return Fill(self._next_chunks()) if self.filling else None

    def filled(self, generations: list[Generation], seconds: float) -> None:
        """A chunk of each is computed; it took so long."""
        if self.decoding:
            self._owed = seconds * _SHARE
        for generation in generations:
            if generation in self.filling and generation.to_compute == 0:
                self.filling.remove(generation)
                self.decoding.append(generation)
                self._joining.append(generation)

    def decoded(self, step: Decode, ended: list[Generation], seconds: float) -> None:
        """A step is done; these rows ended with it and are out of the batch."""
        self._owed -= seconds
        for generation in [generation for generation in step.leaving if generation in self._returning]:
            self._returning.remove(generation)
            self.waiting.insert(0, generation)
        for generation in ended:
            self.decoding.remove(generation)

    def _next_chunks(self) -> list[Generation]:
        self._chunks += 1
        order = sorted(self.filling, key=lambda generation: generation.to_compute)
        if self._chunks % _OLDEST_EVERY == 0:
            oldest = min(order, key=lambda generation: generation.arrived)
            order.remove(oldest)
            order.insert(0, oldest)
        return order[: self._abreast]
