"""Memory that is borrowed is kept until it is given back, whoever asks for it meanwhile; and training gives way after a
checkpoint of its own."""

from __future__ import annotations

import asyncio

from distill.day import Day
from distill.night.borrowing import GaveWay, Lent, borrowed
from distill.night.training import Steps
from distill.train.record import Step


class Lending(Day):
    """A gateway that lends, and turned so many requests away."""

    refused, renewed, lent = 0, 0, False

    async def lease(self, size: int, seconds: float) -> str:
        self.lent = True
        return "lease"

    async def renew(self, lease: str) -> int:
        self.renewed += 1
        return self.refused

    async def give_back(self, lease: str) -> None:
        self.lent = False


class Quiet:
    def stage(self, name: str, total: int | None) -> None: ...
    def step(self, done: int | None = None, note: str = "") -> None: ...


async def test_a_lease_is_renewed_after_somebody_was_turned_away() -> None:
    day = Lending("http://127.0.0.1:9", "nobody")
    day.refused = 3  # before
    async with borrowed(day, 1, every=0.01) as lent:
        await asyncio.sleep(0.1)
        assert not lent.wanted
        day.refused = 4
        await asyncio.sleep(0.1)
        assert lent.wanted
        before = day.renewed
        await asyncio.sleep(0.2)
        assert day.renewed > before + 3
        assert day.lent
    assert not day.lent


def gave_way(first: int, *, checkpoint: int = 20, steps: int = 100) -> int | None:
    """The step in which a start that begins at `first` gives way, if the memory is wanted all along."""
    lent = Lent()
    lent.wanted = True
    told = Steps(Quiet(), lent, checkpoint)
    for number in range(first, steps + 1):
        try:
            told.tell(Step(number, steps, 1.0, 1.0, 1e-4, 16, 100, 1.0, 0))
        except GaveWay:
            return number
    return None


def test_training_gives_way_when_a_checkpoint_of_its_own_is_on_the_disk() -> None:
    assert gave_way(1) == 21
    assert gave_way(21) == 41  # started again at the checkpoint of step 20
    assert gave_way(33) == 41
    assert gave_way(81) is None  # the last step ends it anyway
    assert gave_way(1, checkpoint=1) == 2
