"""Who is next: the order in which waiting generations are admitted, computed and decoded.

Owns the queue and the rules of fairness. Pure decisions: knows nothing of MLX, threads, memory or clocks; what it must
know of them it is told.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from gateway.engine.generation import Generation

_OLDEST_EVERY = 4  # of so many prompt chunks one goes to who came first, the others to who needs the least


@dataclass(frozen=True)
class Fill:
    """Compute a chunk of this generation's prompt."""

    generation: Generation


@dataclass(frozen=True)
class Decode:
    """Take these rows in, let those go, and give every row its next token."""

    joining: list[Generation]
    leaving: list[Generation]


class Scheduler:
    """At most `batch` generations are under way at once; `lanes` pieces of work go on at the same time."""

    def __init__(self, batch: int, lanes: int) -> None:
        self._batch = batch
        self._lanes = lanes
        self.waiting: list[Generation] = []
        self.filling: list[Generation] = []  # admitted, prompt not computed
        self.decoding: list[Generation] = []  # prompt computed; in the batch, or about to join it
        self._joining: list[Generation] = []
        self._leaving: list[Generation] = []
        self._returning: list[Generation] = []  # of those that leave: they come back
        self._in_lanes: set[Generation] = set()
        self._decode_under_way = False
        self._chunks = 0
        self._owed = 0.0  # seconds of decoding before the next chunk, where one lane does both

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
        """What a free lane should do; None: nothing now."""
        decode_due = (self.decoding or self._leaving) and not self._decode_under_way
        chunk = self._next_chunk() if self.filling else None
        if decode_due and (chunk is None or self._lanes > 1 or self._owed > 0):
            work = Decode(self._joining, self._leaving)
            self._joining, self._leaving, self._decode_under_way = [], [], True
            return work
        if chunk is None:
            return None
        self._chunks += 1
        self._in_lanes.add(chunk)
        return Fill(chunk)

    def filled(self, generation: Generation, seconds: float) -> None:
        """A chunk is computed; it took so long."""
        self._in_lanes.discard(generation)
        if self._lanes == 1 and self.decoding:
            self._owed = seconds / 2  # running streams get a third of the time while prompts are computed
        if generation in self.filling and generation.to_compute == 0:
            self.filling.remove(generation)
            self.decoding.append(generation)
            self._joining.append(generation)

    def decoded(self, step: Decode, ended: list[Generation], seconds: float) -> None:
        """A step is done; these rows ended with it and are out of the batch."""
        self._decode_under_way = False
        self._owed -= seconds
        for generation in [generation for generation in step.leaving if generation in self._returning]:
            self._returning.remove(generation)
            self.waiting.insert(0, generation)
        for generation in ended:
            if generation in self.decoding:
                self.decoding.remove(generation)
            if generation in self._leaving:
                self._leaving.remove(generation)
            if generation in self._returning:
                self._returning.remove(generation)

    def in_lane(self, generation: Generation) -> bool:
        return generation in self._in_lanes

    def _next_chunk(self) -> Generation | None:
        free = [generation for generation in self.filling if generation not in self._in_lanes]
        if not free:
            return None
        if self._chunks % _OLDEST_EVERY == 0:
            return min(free, key=lambda generation: generation.arrived)
        return min(free, key=lambda generation: generation.to_compute)
