"""How a run is told of: figures in words, time left, and a page on which nothing of what data brought is HTML."""

from __future__ import annotations

from itertools import pairwise

import pytest

from distill.train.order import Order
from distill.train.recipe import Recipe
from distill.train.record import Look, Step, Taught
from gateway.training.page import render
from gateway.training.tables import Outcome, ranked
from gateway.training.watching import line_of, seconds_left
from gateway.training.wording import clock, left_out, size, sparkline

HOSTILE = "<script>alert('x')</script>\ud800"


def step(number: int, seconds: float, look: Look | None = None) -> Step:
    return Step(number, 40, 2.0 / number, 1.0, 1e-4, 8, 800, seconds, 2_000_000_000, look)


RESULT = {
    "examples": 10, "too_long": 1, "silent": 2, "steps": 40, "first_loss": 2.0, "last_loss": 0.5, "slowed": 0,
    "best": {"step": 3, "exact": 0.5, "loss": 0.4}, "seconds": 90.0, "examples_per_second": 3.0,
    "tokens_per_second": 100.0, "shared_prefix": True, "peak_memory_bytes": 10**9,
}  # fmt: skip


def test_a_page_escapes_what_it_shows() -> None:
    order = Order(f"/models/{HOSTILE.replace('/', '')}", f"/data/{HOSTILE}", Recipe(scale=20.0), warm=HOSTILE)
    steps = [step(number, float(number), Look(number, 0.1, 1.0)) for number in range(1, 6)]
    page = render(order, steps, RESULT)
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "learning_rate × scale is 0.002" in page  # the warning stays with the run
    page.encode()


@pytest.mark.parametrize("count", [0, 1, 2, 5000])
def test_a_page_is_made_of_any_number_of_steps(count: int) -> None:
    page = render(Order("base", "data", Recipe()), [step(n, float(n)) for n in range(1, count + 1)], RESULT)
    assert page.count("<polyline") == (2 if count else 0)
    assert len(page) < 60_000


def test_a_run_without_looks_has_a_page() -> None:
    assert "–" in render(Order("base", "data", Recipe()), [step(1, 1.0)], {**RESULT, "best": None})


def test_time_left_is_that_of_the_last_steps() -> None:
    slow = [step(number, 10.0 * number) for number in range(1, 11)]
    assert seconds_left(slow) == pytest.approx(300.0)
    fast = [*slow, *(step(number, 100.0 + (number - 10)) for number in range(11, 35))]
    assert seconds_left(fast) == pytest.approx(6.0)
    assert "8.00 examples/s  800 tokens/s, 0:06 left, 2.00 GB" in line_of(fast)


def test_the_best_of_a_sweep_comes_first_and_what_failed_last() -> None:
    def outcome(name: str, exact: float, loss: float) -> Outcome:
        return Outcome({}, name, {"best": {"step": 1, "exact": exact, "loss": loss}})

    made = [Outcome({}, "failed", None, "why"), outcome("b", 0.5, 0.9), outcome("c", 0.5, 0.2), outcome("a", 0.1, 0.1)]
    assert [one.run for one in ranked(made)] == ["c", "b", "a", "failed"]


def test_figures_in_words() -> None:
    assert [clock(seconds) for seconds in (0, 59.6, 3599, 3723)] == ["0:00", "1:00", "59:59", "1:02:03"]
    assert [size(count) for count in (0, 1_500_000, 2_000_000_000)] == ["0.0 MB", "1.5 MB", "2.00 GB"]
    assert left_out(Taught(7, 0, 0, 0, True), Recipe()) == []
    assert len(left_out(Taught(7, 0, 2, 1, True), Recipe())) == 2
    assert "thoughts=keep" in left_out(Taught(7, 0, 0, 0, True, 3), Recipe())[0]


def test_a_sparkline_falls_with_the_loss() -> None:
    assert sparkline([]) == ""
    assert sparkline([1.0]) == "▁"
    drawn = sparkline([1000.0 - number for number in range(1000)])
    assert len(drawn) == 24
    assert (drawn[0], drawn[-1]) == ("█", "▁")
    assert all(before >= after for before, after in pairwise(drawn))
