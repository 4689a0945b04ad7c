"""What is doubted stays out until somebody trusts it."""

from __future__ import annotations

from pathlib import Path

import pytest

from distill.night.doubting import DoubtError, doubt, doubted, doubting, suspect, trust, trusted

ONE, TWO = "20261125T010000Z-aa", "20261126T010000Z-bb"


def test_doubted_trusted_and_doubted_again(tmp_path: Path) -> None:
    for night, traces in ((ONE, ["t1", "t2"]), (TWO, ["t2", "t3"])):
        (tmp_path / night).mkdir()
        doubt(tmp_path, night, traces)
    assert doubted(tmp_path) == {"t1", "t2", "t3"}
    assert list(doubting(tmp_path).items()) == [(TWO, 2), (ONE, 2)]
    assert trust(tmp_path, TWO) == 2
    assert doubted(tmp_path) == {"t1", "t2"}  # the other night still doubts t2
    assert trusted(tmp_path) == {"t2", "t3"}


def test_what_did_harm_twice_is_doubted(tmp_path: Path) -> None:
    for night in (ONE, TWO):
        (tmp_path / night).mkdir()
    assert suspect(tmp_path, ONE, ["t1", "t2"]) == 0
    assert suspect(tmp_path, ONE, ["t1", "t2"]) == 0  # the same night, started again
    assert doubted(tmp_path) == frozenset()
    assert suspect(tmp_path, TWO, ["t2", "t3"]) == 1
    assert doubting(tmp_path) == {TWO: 1}
    assert doubted(tmp_path) == {"t2"}
    assert doubted(tmp_path, but=TWO) == frozenset()  # as that night has to see it, started again
    trust(tmp_path, TWO)
    (tmp_path / "20261127T010000Z-cc").mkdir()
    assert suspect(tmp_path, "20261127T010000Z-cc", ["t2"]) == 0  # somebody vouched for it


@pytest.mark.parametrize("name", ["", "..", "../elsewhere", "20261127T010000Z-cc"])
def test_a_night_that_doubts_nothing_is_told(tmp_path: Path, name: str) -> None:
    (tmp_path / ONE).mkdir()
    doubt(tmp_path, ONE, ["t1"])
    with pytest.raises(DoubtError, match=f"those that do: {ONE}"):
        trust(tmp_path, name)


def test_nothing_is_learnt_where_nobody_knows_what_is_doubted(tmp_path: Path) -> None:
    (tmp_path / ONE).mkdir()
    (tmp_path / ONE / "doubted.json").write_bytes(b'["t1", ')
    with pytest.raises(DoubtError, match="Mend it, or delete it"):
        doubted(tmp_path)
