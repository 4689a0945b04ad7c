"""Who is next, as pure decisions."""

from __future__ import annotations

from gateway.engine.generation import Generation
from gateway.engine.job import Job, Sampling
from gateway.engine.scheduler import Decode, Fill, Scheduler

ALWAYS = {"fits": lambda _: True, "prefix_is_coming": lambda _: False}


def generation(length: int = 10, conversation: str = "", arrived: float = 0.0) -> Generation:
    made = Generation.of(Job(list(range(length)), 5, Sampling(), conversation=conversation))
    made.arrived = arrived
    return made


def fill(scheduler: Scheduler, work: object) -> Generation:
    """Carry a Fill out: the whole prompt at once."""
    assert isinstance(work, Fill)
    [one] = work.generations
    one.done = len(one.tokens) - 1
    scheduler.filled([one], 0.1)
    return one


def test_a_conversation_with_nothing_under_way_goes_before_one_that_has() -> None:
    scheduler = Scheduler(batch=2, abreast=1)
    greedy = [generation(conversation="greedy", arrived=i) for i in range(3)]
    modest = generation(conversation="modest", arrived=9)
    scheduler.add(greedy[0])
    scheduler.admit(**ALWAYS)
    for other in (*greedy[1:], modest):
        scheduler.add(other)
    scheduler.admit(**ALWAYS)
    assert scheduler.filling == [greedy[0], modest]


def test_who_waits_for_a_prefix_is_passed_over_and_who_does_not_fit_is_not() -> None:
    scheduler = Scheduler(batch=8, abreast=1)
    first, second, third = (generation(arrived=i) for i in range(3))
    for one in (first, second, third):
        scheduler.add(one)
    scheduler.admit(fits=lambda g: g is not second, prefix_is_coming=lambda g: g is first)
    assert scheduler.filling == []
    scheduler.admit(fits=lambda g: True, prefix_is_coming=lambda g: g is first)
    assert scheduler.filling == [second, third]


def test_short_prompts_go_first_and_the_oldest_is_not_forgotten() -> None:
    scheduler = Scheduler(batch=8, abreast=1)
    long = generation(1000, arrived=0)
    shorts = [generation(10 + i, arrived=1 + i) for i in range(6)]
    for one in (long, *shorts):
        scheduler.add(one)
    scheduler.admit(**ALWAYS)
    order = []
    for _ in range(6):
        work = scheduler.next()
        assert isinstance(work, Fill)
        order += work.generations
        scheduler.filled(work.generations, 0.0)  # a chunk that computed nothing yet
    assert order.count(long) == 1
    assert order[0] is shorts[0]


def test_several_prompts_go_side_by_side() -> None:
    scheduler = Scheduler(batch=8, abreast=2)
    three = [generation(10 + i) for i in range(3)]
    for one in three:
        scheduler.add(one)
    scheduler.admit(**ALWAYS)
    assert scheduler.next() == Fill(three[:2])


def test_running_streams_go_on_between_chunks() -> None:
    scheduler = Scheduler(batch=8, abreast=1)
    running, long = generation(), generation(1000)
    scheduler.add(running)
    scheduler.admit(**ALWAYS)
    fill(scheduler, scheduler.next())
    scheduler.decoded(scheduler.next(), [], 0.1)
    scheduler.add(long)
    scheduler.admit(**ALWAYS)
    kinds = []
    for _ in range(12):
        work = scheduler.next()
        kinds.append(type(work))
        if isinstance(work, Fill):
            scheduler.filled(work.generations, 0.8)
        elif isinstance(work, Decode):
            scheduler.decoded(work, [], 0.1)
    assert kinds == [Fill, Decode, Decode] * 4  # a quarter of the chunk's time


def test_a_row_that_gives_way_comes_back_first() -> None:
    scheduler = Scheduler(batch=2, abreast=1)
    one, other, late = (generation(arrived=i) for i in range(3))
    for row in (one, other):
        scheduler.add(row)
    scheduler.admit(**ALWAYS)
    fill(scheduler, Fill([one]))
    fill(scheduler, Fill([other]))
    scheduler.decoded(scheduler.next(), [], 0.1)
    scheduler.add(late)
    scheduler.again(other)
    work = scheduler.next()
    assert isinstance(work, Decode)
    assert work.leaving == [other]
    scheduler.decoded(work, [], 0.1)
    assert scheduler.waiting == [other, late]
    assert scheduler.decoding == [one]


def test_a_row_that_gives_way_before_it_joined_starts_again() -> None:
    scheduler = Scheduler(batch=2, abreast=1)
    row = generation()
    scheduler.add(row)
    scheduler.admit(**ALWAYS)
    fill(scheduler, scheduler.next())
    scheduler.again(row)
    assert (scheduler.waiting, scheduler.decoding, row.done) == ([row], [], 0)
    assert scheduler.next() is None


def test_what_is_cancelled_is_over_wherever_it_is() -> None:
    scheduler = Scheduler(batch=4, abreast=1)
    waiting, filling, joining, decoding = (generation(10 + i) for i in range(4))
    scheduler.add(decoding)
    scheduler.admit(**ALWAYS)
    fill(scheduler, scheduler.next())
    scheduler.decoded(scheduler.next(), [], 0.1)
    scheduler.add(joining)
    scheduler.admit(**ALWAYS)
    fill(scheduler, Fill([joining]))
    scheduler.add(filling)
    scheduler.admit(**ALWAYS)
    scheduler.add(waiting)
    for one in (waiting, filling, joining, decoding):
        scheduler.remove(one)
    assert scheduler.next() == Decode([], [decoding])
    scheduler.decoded(Decode([], [decoding]), [], 0.1)
    assert not scheduler.busy
