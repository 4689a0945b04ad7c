"""What is held out: whole repositories, else the newest days, else conversations; never a part of a conversation."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distill.dataset import Example, Mixture, build
from tests.distill.dataset.making import crowds, inputs, manifest, parts, prose, spoken

_DAY = 86400.0


def made(number: int, **fields: object) -> Example:
    return spoken(prose(number), prose(-number), **{"conversation": f"c{number}", **fields})


def divided(examples: list[Example], home: Path, valid: float = 0.1) -> tuple[list[Example], list[Example], str]:
    dataset = build(inputs(examples), home, Mixture(valid=valid))
    return *parts(dataset.folder), manifest(dataset.folder)["divided_by"]


@settings(max_examples=100, deadline=None)
@given(new=crowds(), old=crowds(most=20), valid=st.sampled_from([0.05, 0.2, 0.5]))
def test_no_conversation_is_on_both_sides(
    tmp_path_factory: pytest.TempPathFactory, new: list[Example], old: list[Example], valid: float
) -> None:
    dataset = build(inputs(new, old), tmp_path_factory.mktemp("home"), Mixture(valid=valid, replay=0.5))
    train, held = parts(dataset.folder)
    assert train
    assert not {(e.client, e.conversation) for e in train} & {(e.client, e.conversation) for e in held}
    if manifest(dataset.folder)["divided_by"] == "repository":
        whole = Counter(e.repository for e in held if e.repository)
        assert set(whole) - {e.repository for e in train}


def test_whole_repositories_where_there_are_enough(tmp_path: Path) -> None:
    examples = [made(n, repository=f"r{n % 25}") for n in range(200)]
    train, held, by = divided(examples, tmp_path)
    assert by == "repository"
    assert not {e.repository for e in train} & {e.repository for e in held}
    assert 10 <= len(held) <= 20
    again = [made(n + 1000, repository=f"r{n % 25}") for n in range(200)]  # another night
    assert {e.repository for e in divided(again, tmp_path)[1]} == {e.repository for e in held}


def test_two_repositories_in_one_conversation_go_together(tmp_path: Path) -> None:
    examples = [made(n, repository=f"r{n % 25}", conversation=f"c{n // 2}") for n in range(200)]
    train, held, by = divided(examples, tmp_path)
    assert by == "repository"
    assert not {e.conversation for e in train} & {e.conversation for e in held}


def test_one_tiny_repository_is_not_enough_to_hold_out(tmp_path: Path) -> None:
    examples = [made(n, repository="tiny" if n == 0 else f"r{n % 3}") for n in range(200)]
    assert divided(examples, tmp_path)[2] == "conversation"


def test_the_newest_days_where_repositories_do_not_fit(tmp_path: Path) -> None:
    examples = [made(n, repository=f"r{n % 2}", created=1e9 + _DAY * (n // 5)) for n in range(150)]
    train, held, by = divided(examples, tmp_path)
    assert by == "time"
    assert len(held) == 15
    assert max(e.created for e in train) < min(e.created for e in held)


def test_a_conversation_belongs_to_the_day_on_which_it_ended(tmp_path: Path) -> None:
    examples = [made(n, repository="r", created=1e9 + _DAY * (n // 5)) for n in range(150)]
    examples += [made(999, repository="r", conversation="c149", created=1e9)]
    _, held, by = divided(examples, tmp_path)
    assert by == "time"
    assert {e.created for e in held if e.conversation == "c149"} == {1e9, 1e9 + _DAY * 29}


def test_conversations_where_days_do_not_fit(tmp_path: Path) -> None:
    examples = [made(n, repository="r") for n in range(300)]
    train, held, by = divided(examples, tmp_path)
    assert by == "conversation"
    assert 10 <= len(held) <= 60
    later = divided([*examples, *(made(n, repository="r") for n in range(1000, 1100))], tmp_path)
    assert {e.conversation for e in held} <= {e.conversation for e in later[1]}  # stays on its side
    assert {e.conversation for e in train} <= {e.conversation for e in later[0]}


def test_a_single_conversation_is_learnt(tmp_path: Path) -> None:
    for number in range(20):
        train, held, _ = divided([made(number)], tmp_path, valid=0.9)
        assert (len(train), len(held)) == (1, 0)


def test_what_is_held_out_is_not_replayed(tmp_path: Path) -> None:
    new = [made(n, repository=f"r{n % 25}") for n in range(200)]
    old = [made(n + 5000, repository=f"r{n % 25}") for n in range(25)]
    dataset = build(inputs(new, old), tmp_path, Mixture(valid=0.1, replay=0.5))
    train, held = parts(dataset.folder)
    assert not {e.repository for e in train} & {e.repository for e in held}
    assert manifest(dataset.folder)["left_out"]["split"]["held_out"] == len({e.repository for e in held})
