"""Batches: nothing learnt is lost, moved or predicted twice."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distill.render import Segment
from distill.train.batches import Batch, Tokens, collate, epoch, tokens_of


@st.composite
def conversations(draw: st.DrawFn, unlearnt: bool = False) -> Tokens:
    """Ids from a small alphabet, so that prefixes meet; the first token is never learnt: nothing predicts it."""
    head = draw(st.sampled_from([[1] * 3, [1] * 40, [1] * 40 + [2], [2] * 35, [3]]))
    segments = [Segment(list(head), False)]
    for _ in range(draw(st.integers(0 if unlearnt else 1, 3))):
        segments.append(Segment(draw(st.lists(st.integers(1, 3), min_size=1, max_size=6)), True))
        segments.append(Segment(draw(st.lists(st.integers(1, 3), max_size=6)), False))
    return tokens_of(segments)


def lessons(example: Tokens) -> list[tuple[tuple[int, ...], int]]:
    """What an example teaches: each learnt token with all that comes before it."""
    ids = example.ids.tolist()
    return [(tuple(ids[:at]), ids[at]) for at in np.flatnonzero(example.learnt)]


def lessons_of(batch: Batch) -> list[tuple[tuple[int, ...], int]]:
    prefix = batch.prefix.tolist()
    triples = zip(batch.rows.tolist(), batch.columns.tolist(), batch.targets.tolist(), strict=True)
    assert (batch.columns >= 0).all()
    return [(tuple(prefix + batch.suffixes[row, : column + 1].tolist()), target) for row, column, target in triples]


@given(st.lists(conversations(unlearnt=True), min_size=1, max_size=6))
def test_a_batch_teaches_what_its_examples_teach(examples: list[Tokens]) -> None:
    batch = collate(examples)
    assert Counter(lessons_of(batch)) == Counter(lesson for example in examples for lesson in lessons(example))


@given(st.lists(conversations(unlearnt=True), min_size=1, max_size=6))
def test_the_shared_prefix_is_shared_and_leaves_every_row_a_token(examples: list[Tokens]) -> None:
    batch = collate(examples)
    cut = len(batch.prefix)
    for example, row in zip(examples, batch.suffixes, strict=True):
        assert example.ids[:cut].tolist() == batch.prefix.tolist()
        assert not example.learnt[: cut + 1].any()  # the first learnt token is predicted by a suffix's position
        rest = example.ids[cut:]
        assert len(rest) >= 1
        assert row[: len(rest)].tolist() == rest.tolist()
        assert not row[len(rest) :].any()


@given(st.lists(conversations(unlearnt=True), min_size=1, max_size=6), st.integers(1, 8))
def test_halves_lose_nothing(examples: list[Tokens], parts: int) -> None:
    batch = collate(examples)
    halves = batch.halves(parts)
    assert len(halves) == min(parts, len(examples))
    assert sum(len(half.suffixes) for half in halves) == len(examples)
    assert Counter(x for half in halves for x in lessons_of(half)) == Counter(lessons_of(batch))


@given(st.lists(conversations(), min_size=1, max_size=20), st.integers(1, 5), st.integers(0, 3))
def test_an_epoch_is_every_example_once(examples: list[Tokens], size: int, seed: int) -> None:
    batches = list(epoch(examples, size, seed))
    assert sum(len(batch.suffixes) for batch in batches) == len(examples)
    assert max(len(batch.suffixes) for batch in batches) <= size
    taught = Counter(lesson for batch in batches for lesson in lessons_of(batch))
    assert taught == Counter(lesson for example in examples for lesson in lessons(example))


def plenty() -> list[Tokens]:
    rng = np.random.default_rng(0)
    learnt = [rng.integers(1, 9, size=rng.integers(2, 30)).tolist() for _ in range(50)]
    return [tokens_of([Segment([7] * 40, False), Segment(ids, True)]) for ids in learnt]


def test_the_same_seed_gives_the_same_batches_and_another_gives_others() -> None:
    def flat(seed: int) -> list[bytes]:
        return [part.tobytes() for b in epoch(plenty(), 8, seed) for part in (b.prefix, b.suffixes, b.rows, b.targets)]

    assert flat(3) == flat(3)
    assert flat(3) != flat(4)


def test_examples_with_the_same_beginning_share_it() -> None:
    assert all(len(batch.prefix) >= 39 for batch in epoch(plenty(), 8, 0))


def test_an_identical_pair() -> None:
    pair = [tokens_of([Segment([1, 2, 3], False), Segment([4], True)])] * 2
    batch = collate(pair)
    assert batch.prefix.tolist() == [1, 2]
    assert lessons_of(batch) == [((1, 2, 3), 4)] * 2


def test_segments_without_ids_do_not_disturb() -> None:
    tokens = tokens_of([Segment([], False), Segment([5], False), Segment([], True), Segment([6], True)])
    assert tokens.ids.tolist() == [5, 6]
    assert tokens.learnt.tolist() == [False, True]
    assert tokens.ids.dtype == np.int32


def test_a_learnt_first_token_is_left_out() -> None:
    """Nothing comes before it that could predict it."""
    tokens = tokens_of([Segment([5, 6], True)])
    assert tokens.learnt.tolist() == [False, True]
    assert lessons_of(collate([tokens])) == [((5,), 6)]


@pytest.mark.parametrize("parts", [1, 2, 3])
def test_a_single_row_is_not_divided(parts: int) -> None:
    batch = collate([tokens_of([Segment([1, 2], False), Segment([3], True)])])
    assert len(batch.halves(parts)) == 1
