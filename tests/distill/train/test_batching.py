"""An epoch is every example once, what begins alike together."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from distill.train.batching import epoch
from distill.train.tokens import Tokens
from tests.distill.train.conversations import conversations, family


@given(st.lists(conversations(), min_size=1, max_size=20), st.integers(1, 5), st.integers(0, 3))
def test_an_epoch_is_every_example_once(examples: list[Tokens], size: int, seed: int) -> None:
    batches = list(epoch(examples, size, seed))
    assert sorted(index for batch in batches for index in batch) == list(range(len(examples)))
    assert max(map(len, batches)) <= size


def test_the_same_seed_gives_the_same_batches_and_another_gives_others() -> None:
    examples = family(0, 40, 0, 50)
    assert list(epoch(examples, 8, 3)) == list(epoch(examples, 8, 3))
    assert list(epoch(examples, 8, 3)) != list(epoch(examples, 8, 4))


def test_what_begins_alike_is_together() -> None:
    examples = family(0, 40, 0, 24) + family(1, 40, 0, 24)
    assert all(len({index // 24 for index in batch}) == 1 for batch in epoch(examples, 8, 0))


def test_turns_of_a_conversation_are_together_but_never_a_whole_batch() -> None:
    rng = np.random.default_rng(0)
    examples = []
    for conversation in range(16):
        ids = np.concatenate([np.full(40, 7), np.full(1, 50 + conversation), rng.integers(100, 250, 80)])
        for turn in (20, 40, 60, 80):
            learnt = np.arange(41 + turn) >= 31 + turn
            examples.append(Tokens(ids[: 41 + turn].astype(np.int32), learnt))
    for batch in epoch(examples, 16, 0):
        assert len({index // 4 for index in batch}) == 4


def test_short_and_long_ones_are_learnt_together() -> None:
    """Else a step would learn what needs no tool alone, and the next one undo it."""
    examples = family(0, 40, 0, 64, longest=100)
    middle = sorted(len(one.ids) for one in examples)[32]
    for batch in epoch(examples, 16, 0):
        assert 3 <= sum(len(examples[index].ids) < middle for index in batch) <= 13


def test_examples_that_nobody_begins_like_fill_batches_together() -> None:
    rng = np.random.default_rng(0)
    learnt = np.arange(60) >= 30
    examples = [Tokens(rng.integers(0, 250, 60).astype(np.int32), learnt) for _ in range(64)]
    assert [len(batch) for batch in epoch(examples, 16, 0)] == [16] * 4


def test_what_is_left_of_groups_fills_batches_together() -> None:
    examples = [one for number in range(6) for one in family(number, 40, 0, 12)]
    batches = list(epoch(examples, 8, 0))
    assert len(batches) <= len(examples) // 8 + 2
    apart = [{index // 12 for index in batch} for batch in batches]
    assert sum(len(groups) == 1 for groups in apart) >= 6  # of each group a batch of its own
    assert max(map(len, apart)) <= 3
