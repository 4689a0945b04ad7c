"""The filters on the seeded set: bounds per kind, which fail when a check is missing; and the table of the page."""

from __future__ import annotations

from pathlib import Path

import pytest

from distill.filters import CHECKS
from tests.distill.filters.corruptions import KINDS
from tests.distill.filters.seeded import EACH, Case, cases, rows, table

PAGE = Path(__file__).resolve().parents[3] / "docs" / "filters.md"
OF_CHECKS = {  # what is not found without a check
    "authors": ["truncation", "aborted answer"],
    "calls answered": ["unanswered call"],
    "ends with an answer": ["no answer"],
    "calls valid": ["wrong tool", "malformed call"],
    "text plain": ["call in the text"],
    "calls differ": ["loop", "repeated call"],
    "outcomes": ["failed call", "repaired call", "asked again"],
    "rerun": ["stale result"],
    "grounding": ["wrong argument", "ungrounded answer", "near miss", "false absence"],
    "secrets": ["leaked secret"],
    "oracle": ["plausible wrong answer"],
}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[Case]:
    return cases(tmp_path_factory.mktemp("seeded"))


def test_every_kind_is_found_and_the_good_are_learnt_whole(found: list[Case]) -> None:
    made = rows(found)
    assert [row.kind for row in made] == ["good", *KINDS]
    assert all(row.count >= 20 for row in made)
    assert [row for row in made if row.recall < 0.95 or row.precision < 0.95] == []


def test_the_page_has_this_table(found: list[Case]) -> None:
    assert table(rows(found)) in PAGE.read_text(encoding="utf-8")


@pytest.mark.parametrize("check", OF_CHECKS)
def test_without_a_check_its_kinds_get_through(check: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left = {name: other for name, other in CHECKS.items() if name != check}
    monkeypatch.setattr("distill.filters.sifting.CHECKS", left)
    recalls = {row.kind: row.recall for row in rows(cases(tmp_path, each=4, goods=4))}
    assert all(recalls[kind] < 0.95 for kind in OF_CHECKS[check])


def test_every_kind_has_its_check() -> None:
    assert sorted(kind for kinds in OF_CHECKS.values() for kind in kinds) == sorted(KINDS)
    assert EACH >= 20
