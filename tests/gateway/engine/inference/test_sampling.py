"""Every row of a batch is chosen as its request says, whatever stands beside it."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from distill.mlx import blas

blas.prepare(1)

import mlx.core as mx  # noqa: E402 - the BLAS comes first

from gateway.engine.inference.job import Sampling  # noqa: E402
from gateway.engine.inference.sampling import Chosen, Row, choose  # noqa: E402

GREEDY = Sampling(temperature=0)
KINDS = [
    GREEDY,
    Sampling(seed=3),
    Sampling(seed=3, top_p=0.8),
    Sampling(seed=9, top_k=7, temperature=0.5),
    Sampling(seed=4, min_p=0.1, temperature=1.7),
    Sampling(seed=5, presence_penalty=1.0, frequency_penalty=0.5),
    Sampling(seed=6, repetition_penalty=1.4, logit_bias={3: 2.0}),
    Sampling(seed=7, top_p=0.5, top_k=20, min_p=0.01),
]


class Allowed:
    """A grammar of two tokens in turn, packed as llguidance packs them, `words` long."""

    def __init__(self, *tokens: int, words: int = 2) -> None:
        self.tokens, self.words, self.taken = tokens, words, list[int]()

    def mask(self) -> NDArray[np.int32] | None:
        bits = np.zeros(32 * self.words, np.uint8)
        bits[list(self.tokens)] = 1
        return np.packbits(bits, bitorder="little").view(np.int32)

    def accept(self, token: int) -> None:
        self.taken.append(token)


def random_logits(rows: int, vocabulary: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(0, 3, (rows, vocabulary)).astype(np.float32)


def logprobs(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    exact = logits.astype(np.float64)
    top = exact.max(axis=-1, keepdims=True)
    return exact - top - np.log(np.exp(exact - top).sum(axis=-1, keepdims=True))


def tokens(chosen: Chosen) -> list[int]:
    return [int(token) for token in chosen.tokens.tolist()]


@pytest.mark.parametrize("rows", [1, 3, 9])  # of 40 000: what is chosen together, and more than that
@pytest.mark.parametrize("kind", [mx.float32, mx.float16, mx.bfloat16])
def test_greedy_takes_the_likeliest_with_its_logprob(rows: int, kind: mx.Dtype) -> None:
    logits = mx.array(random_logits(rows, 40_000)).astype(kind)
    exact = np.array(logits.astype(mx.float32))
    chosen = choose(logits, [Row(GREEDY, [1])] * rows)
    assert tokens(chosen) == exact.argmax(axis=-1).tolist()
    assert chosen.logprobs.dtype == mx.float32
    np.testing.assert_allclose(chosen.logprobs, logprobs(exact).max(axis=-1), atol=1e-4)
    assert chosen.top is None


def test_a_seed_chooses_the_same_alone_and_in_every_company() -> None:
    steps = [random_logits(len(KINDS), 700, seed) / 3 for seed in range(12)]

    def run(order: list[int], leave: dict[int, int]) -> dict[int, list[int]]:
        """The tokens of the kinds, in a batch in this order that `leave` (kind → step) makes smaller."""
        rows = {kind: Row(KINDS[kind], [1, 2, 3]) for kind in order}
        said: dict[int, list[int]] = {kind: [] for kind in order}
        for number, logits in enumerate(steps):
            here = [kind for kind in order if leave.get(kind, len(steps)) > number]
            for kind, token in zip(here, tokens(choose(mx.array(logits[here]), [rows[k] for k in here])), strict=True):
                rows[kind].accept(token)
                said[kind].append(token)
        return said

    alone = {kind: run([kind], {})[kind] for kind in range(len(KINDS))}
    together = run([5, 2, 7, 0, 1, 3, 6, 4], {2: 4, 0: 7, 4: 9})
    for kind, said in together.items():
        assert said == alone[kind][: len(said)]
    assert len({tuple(run_of) for run_of in alone.values()}) == len(KINDS)


def drawn(logits: NDArray[np.float32], sampling: Sampling, times: int = 4000) -> Counter[int]:
    """How often each token is drawn from one row of logits, by rows with seeds of their own."""
    rows = [Row(replace(sampling, seed=seed), [1]) for seed in range(200)]
    batch = mx.array(np.tile(logits, (len(rows), 1)))
    counts: Counter[int] = Counter()
    for _ in range(times // len(rows)):
        said = tokens(choose(batch, rows))
        counts.update(said)
        for row, token in zip(rows, said, strict=True):
            row.accept(token)
    return counts


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_tokens_are_drawn_as_often_as_they_are_likely(temperature: float) -> None:
    logits = random_logits(1, 600)[0] / 2
    expected = np.exp(logprobs(logits / temperature))
    counts = drawn(logits, Sampling(temperature=temperature))
    common = expected > 0.004
    expectation, seen = expected[common] * 4000, np.array([counts[int(i)] for i in np.flatnonzero(common)])
    chi_square = float(((seen - expectation) ** 2 / expectation).sum())
    assert chi_square < common.sum() + 5 * np.sqrt(2 * common.sum())  # five standard deviations


def kept_by(weights: NDArray[np.float64], sampling: Sampling) -> set[int]:
    """The tokens that the cuts leave, by sorting: probabilities in, indices out."""
    probabilities = weights * (weights >= sampling.min_p * weights.max())
    order = np.argsort(-probabilities)
    if sampling.top_k:
        probabilities[order[sampling.top_k :]] = 0
    probabilities /= probabilities.sum()
    before = np.cumsum(probabilities[order]) - probabilities[order]
    return {int(i) for i, mass in zip(order, before, strict=True) if mass < sampling.top_p and probabilities[i] > 0}


@pytest.mark.parametrize("temperature", [0.7, 1.6])
@pytest.mark.parametrize(
    "cuts",
    [
        {"top_p": 0.3},
        {"top_p": 0.9},
        {"top_k": 1},
        {"top_k": 5},
        {"min_p": 0.2},
        {"top_k": 40, "top_p": 0.7},
        {"top_k": 1000, "top_p": 0.8, "min_p": 0.05},
    ],
)
def test_cuts_leave_what_sorting_leaves(cuts: dict[str, float], temperature: float) -> None:
    logits = random_logits(1, 300, seed=8)[0]
    sampling = Sampling(temperature=temperature, **cuts)  # type: ignore[arg-type]
    kept = kept_by(np.exp(logprobs(logits / temperature)), sampling)
    counts = drawn(logits, sampling, times=2000)
    assert set(counts) <= kept
    likely = np.exp(logprobs(logits / temperature))
    assert {i for i in kept if likely[i] / sum(likely[j] for j in kept) > 0.01} <= set(counts)


@given(
    values=st.lists(st.floats(-30, 30, width=16), min_size=2, max_size=40),
    top_p=st.floats(0.01, 1),
    top_k=st.integers(0, 50),
    seed=st.integers(0, 2**63 - 1),
)
@settings(max_examples=60, deadline=None)
def test_no_token_outside_the_cuts_is_ever_drawn(values: list[float], top_p: float, top_k: int, seed: int) -> None:
    logits = np.array([values], np.float32)
    sampling = Sampling(top_p=top_p, top_k=top_k, seed=seed)
    [token] = tokens(choose(mx.array(logits), [Row(sampling, [0])]))
    weights = np.exp(logprobs(logits)[0])
    kept = kept_by(weights, sampling)
    assert any(weights[token] >= weights[other] * (1 - 1e-3) for other in kept)  # equals of the last one stay too


def test_cuts_concern_only_the_rows_that_ask() -> None:
    logits = np.zeros((1, 400), np.float32)
    logits[0, 7] = 1
    rows = [Row(Sampling(seed=i, **({"top_k": 1} if i % 2 else {})), [0]) for i in range(40)]
    said = tokens(choose(mx.array(np.tile(logits, (40, 1))), rows))
    assert set(said[1::2]) == {7}
    assert len(set(said[::2])) > 10


def test_penalties_are_those_of_vllm() -> None:
    sampling = Sampling(temperature=0, presence_penalty=0.7, frequency_penalty=0.4, repetition_penalty=1.5)
    logits = random_logits(1, 50, seed=2)[0]
    prompt = [3, 3, 11]
    row, said = Row(sampling, prompt), list[int]()
    for _ in range(30):
        counts = np.bincount(said, minlength=50)
        seen = (counts + np.bincount(prompt, minlength=50)) > 0
        expected = np.where(seen, np.where(logits > 0, logits / 1.5, logits * 1.5), logits)
        expected = expected - 0.4 * counts - 0.7 * (counts > 0)
        [token] = tokens(choose(mx.array(logits[None]), [row]))
        assert token == expected.argmax()
        row.accept(token)
        said.append(token)
    assert len(set(said)) > 5


def test_bias_moves_the_choice_but_not_the_logprob() -> None:
    logits = random_logits(3, 100)
    rows = [Row(replace(GREEDY, logit_bias={5: 100.0}), [1]), Row(GREEDY, [1]), Row(GREEDY, [1])]
    chosen = choose(mx.array(logits), rows)
    assert tokens(chosen) == [5, *logits[1:].argmax(axis=-1).tolist()]
    assert float(chosen.logprobs[0]) == pytest.approx(logprobs(logits)[0, 5], abs=1e-4)


def test_bias_for_tokens_that_do_not_exist_reaches_nobody() -> None:
    logits = random_logits(2, 100)
    strange = {100: 100.0, 105: 100.0, 2**40: 100.0, 10**30: 100.0, -95: 100.0}
    said = tokens(choose(mx.array(logits), [Row(replace(GREEDY, logit_bias=strange), [1]), Row(GREEDY, [1])]))
    assert said == logits.argmax(axis=-1).tolist()


@pytest.mark.parametrize("sampling", [GREEDY, Sampling(temperature=1.5), Sampling(top_p=0.9)])
def test_a_grammar_lets_through_only_what_it_allows(sampling: Sampling) -> None:
    logits = random_logits(3, 100)  # the model's vocabulary is wider than the grammar's 64
    logits[:, 64:] += 50
    grammar = Allowed(4, 63)
    for seed in range(20):
        rows = [Row(sampling, [1]), Row(replace(sampling, seed=seed), [1], grammar), Row(sampling, [1])]
        chosen = choose(mx.array(logits), rows)
        assert tokens(chosen)[1] in {4, 63}
        assert {tokens(chosen)[0], tokens(chosen)[2]} <= set(range(64, 100))
        rows[1].accept(tokens(chosen)[1])
    assert len(grammar.taken) == 20
    if sampling.temperature == 0:
        assert set(grammar.taken) == {4 if logits[1, 4] > logits[1, 63] else 63}


@pytest.mark.parametrize("value", [np.nan, -np.inf, np.inf])
@pytest.mark.parametrize("sampling", KINDS)
def test_a_row_that_is_no_numbers_disturbs_nobody(value: float, sampling: Sampling) -> None:
    logits = random_logits(3, 300)
    rows = [Row(sampling, [1]), Row(replace(sampling, seed=1), [1]), Row(sampling, [1])]
    well = tokens(choose(mx.array(logits), rows))
    logits[1] = value
    rows = [Row(sampling, [1]), Row(replace(sampling, seed=1), [1], Allowed(5), top=3), Row(sampling, [1])]
    chosen = choose(mx.array(logits), rows)
    assert [tokens(chosen)[0], tokens(chosen)[2]] == [well[0], well[2]]
    assert 0 <= tokens(chosen)[1] < 300
    assert np.isfinite(np.array(chosen.logprobs)).all()
    assert chosen.top is not None
    assert np.isfinite(np.array(chosen.top[1])).all()


@pytest.mark.parametrize("rows", [2, 7])
def test_the_likeliest_tokens_come_in_order_under_the_model_itself(rows: int) -> None:
    logits = random_logits(rows, 50_000)
    asked = [Row(Sampling(temperature=1.5, logit_bias={0: 50.0}), [1], top=5 if i == 1 else 0) for i in range(rows)]
    chosen = choose(mx.array(logits), asked)
    assert chosen.top is not None
    ids, values = (np.array(part) for part in chosen.top)
    order = np.argsort(-logits[1])[:5]
    assert ids.shape == values.shape == (rows, 5)
    assert ids[1].tolist() == order.tolist()
    np.testing.assert_allclose(values[1], logprobs(logits)[1, order], atol=1e-4)
    assert not values[0].any()


def test_more_likeliest_tokens_than_there_are() -> None:
    chosen = choose(mx.array(random_logits(1, 3)), [Row(GREEDY, [1], top=20)])
    assert chosen.top is not None
    assert chosen.top[0].shape == (1, 3)


def test_a_choice_that_nobody_took_is_made_again() -> None:
    logits = mx.array(random_logits(len(KINDS), 300) / 3)
    rows = [Row(sampling, [1]) for sampling in KINDS]
    first = tokens(choose(logits, rows))
    assert tokens(choose(logits, rows)) == first
    for row, token in zip(rows, first, strict=True):
        row.accept(token)
    assert tokens(choose(logits, rows)) != first
