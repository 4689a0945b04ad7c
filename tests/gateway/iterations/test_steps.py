"""What follows from an iteration, and what the plan's ways out cost."""

from __future__ import annotations

import pytest

from distill.examination.decision import decide
from distill.store.listing import Sum
from gateway.iterations.pivots import pivots
from gateway.iterations.steps import ITERATIONS, follows, may_pivot
from gateway.machine.catalog import entries
from gateway.machine.inspection import Accelerator, Machine
from gateway.sections import BackendSettings, Settings

METAL = Accelerator(kind="metal", name="M1", working_set=22_900_000_000)


def machine(system: str, memory: int, accelerator: Accelerator) -> Machine:
    return Machine(
        system=system,
        release="",
        architecture="",
        processor="",
        cores=8,
        memory=memory << 30,
        disk_free=100 << 30,
        compiler="",
        accelerator=accelerator,
    )


MAC = machine("Darwin", 32, METAL)


def total(arm: str, traces: int, seconds: float) -> Sum:
    return Sum(20_000, "", "chat", arm, "", "completed", traces, seconds, 0, 0)


@pytest.mark.parametrize(
    ("hits", "of", "said"),
    [
        (190, 200, "nightschool scale"),
        (130, 200, "--total 2000"),
        (60, 200, "one of the pivots"),
    ],
)
def test_the_first_iteration_says_what_to_do_next(hits: int, of: int, said: str) -> None:
    lines = follows(ITERATIONS["mve"], decide(hits, of))
    assert len(lines) == 2
    assert said in lines[1]


def test_five_tasks_leave_it_open_and_each_way_is_told() -> None:
    decision = decide(4, 5)
    lines = follows(ITERATIONS["mve"], decision)
    assert decision.verdict == "open"
    assert len(lines) == 1 + len(decision.between)
    assert may_pivot(decision) == ("not enough" in decision.between)
    assert not may_pivot(decide(190, 200))


def test_a_larger_student_is_weighed_against_the_machine() -> None:
    larger, more, leaner = pivots(Settings(), MAC, entries(), [])
    assert (larger.plan, more.plan, leaner.plan) == ("B", "C", "D")
    assert "8.3 GB to fetch" in larger.costs
    assert "models may take 22.9 GB here: it fits" in larger.costs
    assert "both are known once both have answered" in more.costs
    small = machine("Linux", 8, Accelerator())
    assert "it does not fit" in pivots(Settings(), small, entries(), [])[0].costs


def test_seconds_come_from_what_was_answered() -> None:
    days = [total("student", 10, 80.0), total("teacher", 10, 900.0), total("teacher", 10, 960.0)]
    more = pivots(Settings(), MAC, entries(), days)[1]
    assert "takes +85.0 s (8.0 → 93.0)" in more.costs


def test_a_leaner_teacher_is_told_in_gigabytes() -> None:
    settings = Settings(teacher=BackendSettings(model="qwen3-30b-a3b"))
    leaner = pivots(settings, MAC, entries(), [])[2]
    entry = entries()["qwen3-30b-a3b"]
    saved = (entry.kv_bytes(16_384, float32=False) - entry.kv_bytes(2048, float32=False)) / 1e9
    assert f"{saved:.1f} GB less for each conversation" in leaner.costs
    assert "teacher.max_kv_size = 2048" in leaner.how
