"""The engine under agents' load, as its user starts it: a process, HTTP, the embedded student.

Small loads of the benchmarks, held against what does not depend on the machine: tokens computed, tokens answered, and
that nothing fails. Speed is for `make bench`.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from distill.render import Renderer
from tests.bench import adapter_swap, greedy_parity, load, servers, soak
from tests.bench.load import Shape
from tests.bench.options import Options

pytestmark = [pytest.mark.model, pytest.mark.gateways, pytest.mark.timeout(300)]

TIE = 1e-3  # logits this close may be ordered either way by another order of additions


def test_agents_pay_only_for_what_is_new(student_folder: Path, tmp_path: Path) -> None:
    renderer, shape = Renderer(student_folder), Shape(conversations=3, turns=3, output=8)
    with servers.engine(student_folder, tmp_path) as server:
        outcome = asyncio.run(load.run(server, renderer, shape, return_token_ids=True)).whole()
    for asked, answers in zip(outcome.asked, outcome.answers, strict=True):
        for messages, answer in zip(asked, answers, strict=True):
            body = {"messages": messages, "tools": load.TOOLS}
            assert answer.prompt_ids == greedy_parity.rendered(renderer, body)
            assert len(answer.token_ids) == answer.output_tokens
    assert outcome.computed <= 1.03 * load.least_possible(outcome.warm, load.by_turn(outcome))


def test_greedy_answers_are_those_of_mlx_lm() -> None:
    found = greedy_parity.greedy_parity(Options(tiny=True))
    assert found["prompts_rendered_alike"] == found["prompts"]
    assert found["cached_tokens"] > 0
    assert [difference for difference in found["differences"] if not (difference["gap"] or 1) < TIE] == []


@pytest.mark.slow
def test_adapters_change_under_load_and_nobody_notices() -> None:
    found = adapter_swap.adapter_swap(Options(tiny=True))
    assert found["changes"] >= 2
    assert found["value"] == 0, found


@pytest.mark.slow
def test_a_minute_of_everything_at_once() -> None:
    found = soak.soak(Options(seconds=60))
    assert found["failures"] == []
