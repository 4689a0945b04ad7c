"""When a conversation was answered last, as far as that is known."""

from __future__ import annotations

from gateway.answering.recent import Recent


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_idle_seconds_are_those_since_the_last_answer() -> None:
    clock = Clock()
    recent = Recent(clock)
    assert recent.idle("c") == 0.0
    recent.answered("c")
    clock.now += 400
    assert (recent.idle("c"), recent.idle("d")) == (400.0, 0.0)
    recent.answered("c")
    clock.now += 5
    assert recent.idle("c") == 5.0


def test_the_oldest_are_forgotten() -> None:
    clock = Clock()
    recent = Recent(clock)
    for number in range(10_001):
        recent.answered(f"c{number}")
    clock.now += 60
    assert (recent.idle("c0"), recent.idle("c1"), recent.idle("c10000")) == (0.0, 60.0, 60.0)
