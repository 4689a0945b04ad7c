"""A tree teaches what its examples teach, each token run once on the path of all that share it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from distill.render import Segment
from distill.train.passes import Pass, passes_of
from distill.train.tokens import Tokens, tokens_of
from distill.train.tree import Node, grow
from tests.distill.train.conversations import conversations, lessons


def paths(roots: Sequence[Node]) -> dict[int, list[Node]]:
    """The nodes of each example, from its first token to its last."""
    found: dict[int, list[Node]] = {}
    for node in (node for root in roots for node in root.all()):
        for example in node.examples:
            found.setdefault(example, []).append(node)
    return found


def taught(examples: Sequence[Tokens], roots: Sequence[Node]) -> Counter[tuple[tuple[int, ...], int]]:
    return Counter(
        lesson
        for node in (node for root in roots for node in root.all())
        for said in node.predictions
        for lesson in [(tuple(examples[node.examples[0]].ids[: node.start + said.place + 1].tolist()), said.target)]
        * said.weight
    )


@given(st.lists(conversations(), min_size=1, max_size=8), st.integers(1, 30), st.sampled_from([None, 1, 7]))
def test_a_tree_teaches_what_its_examples_teach(examples: list[Tokens], least: int, longest: int | None) -> None:
    roots = grow(examples, least, longest)
    assert taught(examples, roots) == Counter(lesson for example in examples for lesson in lessons(example))
    for index, nodes in paths(roots).items():
        assert [node.start for node in nodes] == [0, *(node.end for node in nodes[:-1])]
        assert nodes[-1].end == len(examples[index].ids)
        for node in nodes:
            first = examples[node.examples[0]].ids[: node.end]
            assert first.tolist() == examples[index].ids[: node.end].tolist()
            assert len(node) > 0
    assert paths(roots).keys() == set(range(len(examples)))


@given(st.lists(conversations(), min_size=1, max_size=8))
def test_with_everything_shared_no_token_is_run_twice(examples: list[Tokens]) -> None:
    run = sum(len(node) for root in grow(examples) for node in root.all())
    assert run == len({tuple(e.ids[: at + 1].tolist()) for e in examples for at in range(len(e.ids))})


@given(st.lists(conversations(), min_size=2, max_size=8), st.integers(1, 50))
def test_a_node_is_there_only_where_it_saves_enough(examples: list[Tokens], least: int) -> None:
    for node in (node for root in grow(examples, least) for node in root.all()):
        if node.children:
            assert (len(node.examples) - 1) * len(node) >= least


@given(st.lists(conversations(), min_size=1, max_size=8), st.integers(1, 9))
def test_a_long_shared_node_is_cut(examples: list[Tokens], longest: int) -> None:
    for node in (node for root in grow(examples, 1, longest) for node in root.all()):
        assert not node.children or len(node) <= longest


def said(step: Pass, passes: Sequence[Pass], row: int) -> list[int]:
    """The tokens on the way to the end of a row."""
    before = said(passes[step.after[0]], passes, step.after[1]) if step.after else []
    return before + step.tokens[row, : len(step.nodes[row])].tolist()


@given(st.lists(conversations(), min_size=1, max_size=8), st.integers(1, 30), st.integers(1, 3))
def test_passes_teach_the_same(examples: list[Tokens], least: int, streams: int) -> None:
    passes = passes_of(examples, grow(examples, least, 11), streams)
    found: Counter[tuple[tuple[int, ...], int]] = Counter()
    for at, step in enumerate(passes):
        assert step.after is None or step.after[0] < at
        assert 0 <= step.stream < streams
        for row, column, target, weight in zip(step.rows, step.columns, step.targets, step.weights, strict=True):
            assert column < len(step.nodes[row])  # never after padding
            before = said(step, passes, row)[: step.seen + column + 1]
            found[tuple(before), int(target)] += int(weight)
        for row, node in enumerate(step.nodes):
            assert said(step, passes, row) == examples[node.examples[0]].ids[: node.end].tolist()
    assert found == Counter(lesson for example in examples for lesson in lessons(example))


def test_siblings_are_divided_over_streams_and_by_length() -> None:
    lengths = [3, 3, 3, 3, 60, 60]
    rng = np.random.default_rng(0)
    examples = [tokens_of([Segment(rng.integers(1, 250, n).tolist(), True)]) for n in lengths]
    passes = passes_of(examples, grow(examples), 2)
    assert sorted(step.tokens.shape for step in passes) == [(1, 60), (1, 60), (4, 3)]
    assert {step.stream for step in passes if step.tokens.shape == (1, 60)} == {0, 1}


def test_segments_without_ids_do_not_disturb() -> None:
    tokens = tokens_of([Segment([], False), Segment([5], False), Segment([], True), Segment([6], True)])
    assert tokens.ids.tolist() == [5, 6]
    assert tokens.learnt.tolist() == [False, True]
    assert tokens.ids.dtype == np.int32


def test_a_learnt_first_token_is_left_out() -> None:
    """Nothing comes before it that could predict it."""
    tokens = tokens_of([Segment([5, 6], True)])
    assert tokens.learnt.tolist() == [False, True]
    assert taught([tokens], grow([tokens])) == Counter([((5,), 6)])
