"""The plan's decision, arms compared, and who teaches what."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distill.errors import ExaminationError
from distill.examination.comparison import compare, two_sided
from distill.examination.decision import decide
from distill.examination.teaching import (
    Sat,
    Teaching,
    decides,
    lessons,
    merged,
    read_teaching,
    teacher_of,
)
from tests.distill.examination.marks import mark, marks


@pytest.mark.parametrize(
    ("hits", "of", "verdict"),
    [
        (95, 100, "ready"),
        (87, 100, "ready"),
        (86, 100, "open"),
        (65, 100, "more"),
        (58, 100, "open"),
        (59, 100, "more"),
        (40, 100, "not enough"),
        (0, 2, "open"),
        (0, 3, "not enough"),
        (5, 5, "open"),
    ],
)
def test_the_bounds_decide(hits: int, of: int, verdict: str) -> None:
    """The plan's table has what must be observed of 100: 59 % shows over 50, 87 % shows over 80."""
    assert decide(hits, of).verdict == verdict


def test_five_of_five_is_not_yet_anything() -> None:
    found = decide(5, 5)
    assert found.between == ["more", "ready"]
    assert found.more_items is not None
    assert 5 + found.more_items == 11  # 11 of 11 shows more than 80 %, 10 of 10 does not
    assert decide(11, 11).verdict == "ready"
    assert decide(10, 10).verdict == "open"
    assert "about 6 more questions" in found.words


def test_a_share_on_the_threshold_is_never_decided() -> None:
    found = decide(80, 100)
    assert (found.verdict, found.more_items) == ("open", None)
    assert "no affordable number" in found.words


def test_nothing_is_decided_by_nothing() -> None:
    with pytest.raises(ValueError, match="no questions"):
        decide(0, 0)


@given(st.integers(1, 400), st.data())
def test_as_many_more_as_it_says_decide_and_one_fewer_does_not(of: int, data: st.DataObject) -> None:
    hits = data.draw(st.integers(0, of))
    found = decide(hits, of)
    assert (
        (found.verdict == "open") == (len(found.between) > 1) == (found.verdict not in ("ready", "more", "not enough"))
    )
    if found.more_items is not None and found.more_items % of == 0:  # then the share can be the same
        times = 1 + found.more_items // of
        assert decide(hits * times, of * times).verdict != "open"


def test_arms_are_compared_question_by_question() -> None:
    before = [*marks(4, 10), *[mark(20 + n, category="edge", right=False) for n in range(6)]]
    after = [*marks(9, 10)[::-1], *[mark(20 + n, category="edge", right=True) for n in range(6)], mark(99)]
    found = {(one.measure, one.category): one for one in compare("base", before, "adapter", after)}
    whole = found["success", ""]
    assert (whole.items, whole.gained, whole.lost) == (16, 11, 0)
    assert whole.p_value == whole.adjusted == pytest.approx(2 / 2**11)
    assert whole.difference.difference == pytest.approx(11 / 16)
    edge = found["success", "edge"]
    assert (edge.p_value, edge.adjusted) == (pytest.approx(2 / 2**6), pytest.approx(4 / 2**6))
    assert found["right_calls", "search"].items == 10
    assert compare("a", before, "b", [mark(77)]) == []


def test_two_sided() -> None:
    assert two_sided(0, 0) == two_sided(3, 3) == 1.0
    assert two_sided(10, 2) == two_sided(2, 10) == pytest.approx(2 * 0.019287109375)


def test_a_teacher_teaches_where_it_is_better() -> None:
    student = [*marks(18, 20), *[mark(100 + n, category="edge", right=n < 5) for n in range(20)]]
    teacher = [*marks(18, 20), *[mark(100 + n, category="edge", right=n < 6) for n in range(20)]]
    found = lessons(student, teacher)
    assert (found["search"].teaches, found["edge"].teaches) == (False, True)
    assert (found["search"].teacher, found["search"].student) == (pytest.approx(0.9), pytest.approx(0.9))
    assert (found["edge"].gained, found["edge"].lost, found["edge"].p_value) == (1, 0, 1.0)  # better, if not surely
    assert teacher_of("big", found).not_taught == ["search"]


def test_too_few_questions_decide_nothing() -> None:
    found = lessons(marks(19, 19), marks(0, 19))
    assert found["search"].teaches
    assert not decides(found)
    assert not lessons(marks(20, 20), marks(0, 20))["search"].teaches


def teaching(name: str, student: str, model: str, wrong: int) -> Teaching:
    told = teacher_of("t", lessons(marks(20, 20), marks(20 - wrong, 20)))
    return Teaching(Sat(name, 1, "d", 20), student, {model: told})


def test_the_file_says_who_teaches_what(tmp_path: Path) -> None:
    path = tmp_path / "teaching.json"
    assert read_teaching(path) is None
    path.write_bytes(msgspec.json.encode(teaching("full", "s", "big", 3)))
    found = read_teaching(path)
    assert found is not None
    assert not found.teaches("big", "search")
    assert found.teaches("big", "edge")
    assert found.teaches("other", "search")


def test_a_damaged_file_is_said(tmp_path: Path) -> None:
    path = tmp_path / "teaching.json"
    for content in (b"", b"[]", b'{"version": 1}', b"\xff", b'{"student": "\xff"}', b"[" * 100_000):
        path.write_bytes(content)
        with pytest.raises(ExaminationError, match="is damaged"):
            read_teaching(path)
    path.write_bytes(msgspec.json.encode(msgspec.structs.replace(teaching("f", "s", "b", 1), version=2)))
    with pytest.raises(ExaminationError, match="version 2"):
        read_teaching(path)


def test_teachers_of_the_same_examination_and_student_stay() -> None:
    first, second = teaching("full", "s", "big", 3), teaching("full", "s", "bigger", 0)
    assert set(merged(first, second).teachers) == {"big", "bigger"}
    assert merged(None, second) == second
    assert merged(first, teaching("full", "another", "bigger", 0)).teachers.keys() == {"bigger"}
    assert merged(first, teaching("quick", "s", "bigger", 0)).teachers.keys() == {"bigger"}
