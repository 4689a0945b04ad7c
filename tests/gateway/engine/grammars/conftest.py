"""A model without any sense, which writes under guides."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from tokenizers import Tokenizer

from distill.mlx import blas

blas.prepare(1)

import mlx.core as mx  # noqa: E402 - the BLAS comes first

from gateway.engine.grammars.grammar import Grammars, Guide  # noqa: E402
from gateway.engine.inference.job import Sampling  # noqa: E402
from gateway.engine.inference.sampling import Row, choose  # noqa: E402
from tests.gateway.engine.grammars.asked import END, VOCABULARY, Write  # noqa: E402


@pytest.fixture(scope="module")
def grammars(student_folder: Path) -> Grammars:
    return Grammars(student_folder, {END}, VOCABULARY)


@pytest.fixture(scope="module")
def tokenizer(student_folder: Path) -> Tokenizer:
    return Tokenizer.from_file(str(student_folder / "tokenizer.json"))


@pytest.fixture(scope="module")
def likings(tokenizer: Tokenizer) -> NDArray[np.float32]:
    """What a model without any sense would like to say: anything, but rather JSON, and that it ends."""
    punctuation = {i for piece, i in tokenizer.get_vocab().items() if set(piece) <= set('{}[]",:0123456789')}
    liked = np.zeros(VOCABULARY, np.float32)
    liked[list(punctuation)] = 8
    liked[[i for piece, i in tokenizer.get_vocab().items() if piece in ('"', '"}', "}", "]", "</")]] = 13
    liked[END] = 12
    return liked


@pytest.fixture
def write(likings: NDArray[np.float32], tokenizer: Tokenizer) -> Write:
    """Lets a senseless model write under guides, all in one batch, at temperature 1.5: (text, whether it ended)."""

    def run(guides: list[Guide], limit: int = 300) -> list[tuple[str, bool]]:
        rows = [Row(Sampling(temperature=1.5, seed=i), [1], guide) for i, guide in enumerate(guides)]
        said: list[list[int]] = [[] for _ in rows]
        random = np.random.default_rng(len(guides))
        noise = random.normal(0, 3, 1 << 21).astype(np.float32)
        for _ in range(limit):
            open_ = [i for i, tokens in enumerate(said) if END not in tokens]
            if not open_:
                break
            starts = random.integers(0, len(noise) - VOCABULARY, len(open_))
            logits = np.stack([likings + noise[start : start + VOCABULARY] for start in starts])
            chosen = choose(mx.array(logits), [rows[i] for i in open_])
            for i, token in zip(open_, chosen.tokens.tolist(), strict=True):
                rows[i].accept(token)
                said[i].append(token)
        return [(tokenizer.decode([t for t in tokens if t != END]), END in tokens) for tokens in said]

    return run
