"""Who is next, as pure decisions."""

from __future__ import annotations

from gateway.engine.inference.generation import Generation
from gateway.engine.inference.job import Job, Sampling
from gateway.engine.inference.scheduler import Scheduler, Step

ALWAYS = {"fits": lambda _: True, "prefix_is_coming": lambda _: False}


def generation(length: int = 10, conversation: str = "", arrived: float = 0.0) -> Generation:
    made = Generation.of(Job(list(range(length)), 5, Sampling(), conversation=conversation))
    made.arrived = arrived
    return made


def fill(scheduler: Scheduler) -> None:
    """Carry a step out: all of its prompts at once."""
    step = scheduler.next()
    assert step is not None
    assert step.filling
    for one in step.filling:
        one.done = len(one.tokens) - 1
    scheduler.computed(step, [], 0.1)


def decode(scheduler: Scheduler) -> Step:
    step = scheduler.next()
    assert step is not None
    scheduler.computed(step, [], 0.1)
    return step


def test_a_conversation_with_nothing_under_way_goes_before_one_that_has() -> None:
    scheduler = Scheduler(batch=2)
    greedy = [generation(conversation="greedy", arrived=i) for i in range(3)]
    modest = generation(conversation="modest", arrived=9)
    scheduler.add(greedy[0])
    scheduler.admit(**ALWAYS)
    for other in (*greedy[1:], modest):
        scheduler.add(other)
    scheduler.admit(**ALWAYS)
    assert scheduler.filling == [greedy[0], modest]


def test_who_waits_for_a_prefix_is_passed_over_and_who_does_not_fit_is_not() -> None:
    scheduler = Scheduler(batch=8)
    first, second, third = (generation(arrived=i) for i in range(3))
    for one in (first, second, third):
        scheduler.add(one)
    scheduler.admit(fits=lambda g: g is not second, prefix_is_coming=lambda g: g is first)
    assert scheduler.filling == []
    scheduler.admit(fits=lambda g: True, prefix_is_coming=lambda g: g is first)
    assert scheduler.filling == [second, third]


def test_short_prompts_go_first_and_the_oldest_is_not_forgotten() -> None:
    scheduler = Scheduler(batch=8)
    long = generation(1000, arrived=0)
    shorts = [generation(10 + i, arrived=1 + i) for i in range(6)]
    for one in (long, *shorts):
        scheduler.add(one)
    scheduler.admit(**ALWAYS)
    firsts = []
    for _ in range(6):
        step = scheduler.next()
        assert step is not None
        assert sorted(step.filling, key=id) == sorted([long, *shorts], key=id)
        firsts.append(step.filling[0])
        scheduler.computed(step, [], 0.0)  # a step that computed nothing yet
    assert firsts.count(long) == 1
    assert firsts[0] is shorts[0]


def test_running_streams_get_steps_of_their_own() -> None:
    scheduler = Scheduler(batch=8, share=0.25)
    running, long = generation(), generation(1000)
    scheduler.add(running)
    scheduler.admit(**ALWAYS)
    fill(scheduler)
    decode(scheduler)
    scheduler.add(long)
    scheduler.admit(**ALWAYS)
    with_prompts = []
    for _ in range(12):
        step = scheduler.next()
        assert step is not None
        with_prompts.append(bool(step.filling))
        scheduler.computed(step, [], 0.8 if step.filling else 0.1)
    assert with_prompts == [True, False, False] * 4  # a quarter of the time of a step with prompts


def test_a_row_that_gives_way_comes_back_first() -> None:
    scheduler = Scheduler(batch=2)
    one, other, late = (generation(arrived=i) for i in range(3))
    for row in (one, other):
        scheduler.add(row)
    scheduler.admit(**ALWAYS)
    fill(scheduler)
    decode(scheduler)
    scheduler.add(late)
    scheduler.again(other)
    assert decode(scheduler).leaving == [other]
    assert scheduler.waiting == [other, late]
    assert scheduler.decoding == [one]


def test_a_row_that_gives_way_before_it_joined_starts_again() -> None:
    scheduler = Scheduler(batch=2)
    row = generation()
    scheduler.add(row)
    scheduler.admit(**ALWAYS)
    fill(scheduler)
    scheduler.again(row)
    assert (scheduler.waiting, scheduler.decoding, row.done) == ([row], [], 0)
    assert scheduler.next() is None


def test_what_is_cancelled_is_over_wherever_it_is() -> None:
    scheduler = Scheduler(batch=4)
    waiting, filling, joining, decoding = (generation(10 + i) for i in range(4))
    scheduler.add(decoding)
    scheduler.admit(**ALWAYS)
    fill(scheduler)
    decode(scheduler)
    decode(scheduler)
    scheduler.add(joining)
    scheduler.admit(**ALWAYS)
    fill(scheduler)
    scheduler.add(filling)
    scheduler.admit(**ALWAYS)
    scheduler.add(waiting)
    for one in (waiting, filling, joining, decoding):
        scheduler.remove(one)
    assert decode(scheduler) == Step([], [decoding], [])
    assert not scheduler.busy
