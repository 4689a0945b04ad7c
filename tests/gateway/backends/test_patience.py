"""How a backend is asked: the breaker's clock, the retry budget, the queue."""

from __future__ import annotations

import asyncio

import pytest

from gateway.backends.breaker import Breaker, RetryBudget
from gateway.backends.patience import Manners, Patience, is_fault
from gateway.errors import (
    BackendBroken,
    BackendBusy,
    BackendError,
    BackendRefused,
    BackendResting,
    BackendTimeout,
    BackendUnreachable,
)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Flaky:
    """An attempt that fails as told, one after the other, and then answers."""

    def __init__(self, *errors: BackendError) -> None:
        self.errors = list(errors)
        self.tried = 0

    async def __call__(self) -> str:
        self.tried += 1
        if self.errors:
            raise self.errors.pop(0)
        return "answer"


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_breaker_opens_after_failures_in_a_row_and_lets_one_try(clock: Clock) -> None:
    breaker = Breaker(clock, 3)
    for _ in range(2):
        breaker.begin()
        breaker.failed()
    breaker.succeeded()
    for _ in range(2):
        breaker.failed()
    assert not breaker.waits
    breaker.failed()
    assert breaker.waits == 5
    clock.now += 5
    assert not breaker.waits
    breaker.begin()
    assert breaker.waits  # one tries, the others wait for what it finds
    breaker.failed()
    assert breaker.waits == 10
    clock.now += 10
    breaker.begin()
    breaker.succeeded()
    assert not breaker.waits


def test_a_trial_whose_client_left_lets_the_next_one_try(clock: Clock) -> None:
    breaker = Breaker(clock, 1)
    breaker.failed()
    clock.now += 5
    breaker.begin()
    breaker.left()
    assert not breaker.waits


def test_pauses_have_an_end(clock: Clock) -> None:
    breaker = Breaker(clock, 1)
    for _ in range(10):
        breaker.begin()
        breaker.failed()
        clock.now += breaker.waits
    breaker.begin()
    breaker.failed()
    assert breaker.waits == 60


def test_without_a_limit_failures_never_open_it(clock: Clock) -> None:
    breaker = Breaker(clock, 0)
    for _ in range(50):
        breaker.failed()
    assert not breaker.waits


def test_retries_are_earned_by_requests_and_time_and_cost_nothing_where_they_help(clock: Clock) -> None:
    budget = RetryBudget(clock)
    assert sum(budget.spend() for _ in range(50)) == 20
    for _ in range(5):
        budget.earn()
    assert [budget.spend(), budget.spend()] == [True, False]
    clock.now += 3
    budget.earn()
    assert [budget.spend() for _ in range(4)] == [True, True, True, False]
    budget.helped()
    assert [budget.spend(), budget.spend()] == [True, False]


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (BackendUnreachable(), True),
        (BackendBroken(), True),
        (BackendRefused(503, "busy", retry_after=0.01), True),
        (BackendRefused(429, "slower", retry_after=0.01), True),
        (BackendTimeout(), False),
        (BackendRefused(400, "no"), False),
        (BackendRefused(401, "who?"), False),
        (BackendRefused(429, "tomorrow", retry_after=3600), False),
    ],
)
async def test_what_may_pass_is_tried_again(error: BackendError, again: bool) -> None:
    attempt = Flaky(error)
    patience = Patience(Manners(attempts=3))
    if again:
        assert await patience.persist(attempt) == "answer"
    else:
        with pytest.raises(type(error)):
            await patience.persist(attempt)
    assert attempt.tried == 1 + again


async def test_attempts_and_their_time_are_limited() -> None:
    attempt = Flaky(*[BackendRefused(503, "busy", retry_after=0.01) for _ in range(9)])
    with pytest.raises(BackendRefused):
        await Patience(Manners(attempts=3)).persist(attempt)
    assert attempt.tried == 3
    slow = Flaky(*[BackendRefused(503, "busy", retry_after=0.3) for _ in range(9)])
    with pytest.raises(BackendRefused):
        await Patience(Manners(attempts=9, retry_seconds=0.5)).persist(slow)
    assert slow.tried == 3  # 0.3 s before the second, 0.3 before the third, and then half a second is over


async def test_who_asks_for_a_long_pause_gets_it(clock: Clock) -> None:
    patience = Patience(Manners(), clock)
    with pytest.raises(BackendRefused):
        await patience.persist(Flaky(BackendRefused(429, "tomorrow", retry_after=3600)))
    untouched = Flaky()
    with pytest.raises(BackendResting) as caught:
        await patience.persist(untouched)
    assert untouched.tried == 0
    assert caught.value.retry_after == 3600


async def test_a_refusal_of_the_request_is_no_failure_of_the_backend(clock: Clock) -> None:
    patience = Patience(Manners(failures=1), clock)
    with pytest.raises(BackendRefused):
        await patience.persist(Flaky(BackendRefused(400, "no such parameter")))
    assert await patience.persist(Flaky()) == "answer"
    assert not is_fault(BackendRefused(404, "no such model"))
    assert is_fault(BackendRefused(500, "oh"))


async def test_no_more_than_so_many_at_once_and_a_queue_that_ends() -> None:
    patience = Patience(Manners(at_once=2, queue=1))
    most = inside = 0

    async def work() -> str:
        nonlocal most, inside
        async with patience.slot():
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0.05)
            inside -= 1
        return "done"

    found = await asyncio.gather(*(work() for _ in range(4)), return_exceptions=True)
    assert [type(one) for one in found].count(BackendBusy) == 1
    assert found.count("done") == 3
    assert most == 2
    assert patience.waiting == 0


async def test_a_client_that_leaves_the_queue_or_its_slot_takes_nothing_along() -> None:
    patience = Patience(Manners(at_once=1))

    async def hold() -> None:
        async with patience.slot():
            await asyncio.sleep(60)

    tasks = [asyncio.create_task(hold()) for _ in range(3)]
    await asyncio.sleep(0.01)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert patience.waiting == 0
    async with asyncio.timeout(1), patience.slot():
        pass
