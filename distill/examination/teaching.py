"""Who teaches what: candidate teachers against the student, category by category.

Owns the rule and the form of data/teaching.json. Pure but for reading that file; who writes it decides when.

The file: {"version": 1, "examination": {"name", "version", "digest", "items"}, "student": a model's name, "teachers":
{a model's name: {"label", "not_taught": [categories], "categories": {a category: a Lesson}}}}. Shares are of questions
answered with success; gained are those that only the teacher answered so, lost those that only the student did.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from distill.errors import ExaminationError
from distill.examination.comparison import compare
from distill.examination.figures import succeeded
from distill.examination.marking import Mark

TEACHING = "teaching.json"  # below data/
VERSION = 1
LEAST = 20  # questions of a category; with fewer nothing is decided, and the category is taught


class Lesson(msgspec.Struct, frozen=True):
    """A teacher in one category. `p_value`: exact, two-sided, that teacher and student are alike."""

    items: int
    teacher: float
    student: float
    gained: int
    lost: int
    p_value: float
    teaches: bool


class Teacher(msgspec.Struct, frozen=True):
    label: str
    not_taught: list[str]
    categories: dict[str, Lesson]


class Sat(msgspec.Struct, frozen=True):
    """The examination that the figures are of."""

    name: str
    version: int
    digest: str
    items: int


class Teaching(msgspec.Struct, frozen=True):
    """What was found of each teacher, by its model's name."""

    examination: Sat
    student: str
    teachers: dict[str, Teacher]
    version: int = VERSION

    def teaches(self, teacher: str, category: str) -> bool:
        """Whether examples of this category may be learnt from a teacher. Who was never compared teaches everything."""
        known = self.teachers.get(teacher)
        return known is None or category not in known.not_taught


def lessons(student: Sequence[Mark], teacher: Sequence[Mark]) -> dict[str, Lesson]:
    """The rule: a teacher does not teach a category in which the student answers at least as many questions with
    success. Then no test can show the teacher to be better, so the point decides and the test is told; a teacher that
    is better by the point, if not significantly, teaches. So does one about whom too little is known.
    """
    found: dict[str, Lesson] = {}
    for one in compare("student", student, "teacher", teacher, ["success"]):
        if one.category:
            hers = [mark for mark in student if mark.category == one.category]
            share = sum(succeeded(mark) for mark in hers) / len(hers)
            teaches = one.gained > one.lost or one.items < LEAST
            ahead = share + one.difference.difference
            found[one.category] = Lesson(one.items, ahead, share, one.gained, one.lost, one.p_value, teaches)
    return found


def teacher_of(label: str, categories: Mapping[str, Lesson]) -> Teacher:
    return Teacher(label, [name for name, one in categories.items() if not one.teaches], dict(categories))


def decides(categories: Mapping[str, Lesson]) -> bool:
    """Whether there were questions enough to decide about any category."""
    return any(one.items >= LEAST for one in categories.values())


def merged(earlier: Teaching | None, now: Teaching) -> Teaching:
    """Teachers of an earlier comparison stay, where it was the same examination of the same student."""
    if earlier is None or (earlier.examination, earlier.student) != (now.examination, now.student):
        return now
    return msgspec.structs.replace(now, teachers={**earlier.teachers, **now.teachers})


def read_teaching(path: Path) -> Teaching | None:
    """None where there is no such file. Raises ExaminationError for one that is damaged."""
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Teaching)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ExaminationError(f"{path} is damaged ({error}): delete it, or compare the teachers again") from error
    if found.version != VERSION:
        raise ExaminationError(f"{path} is of version {found.version}, and this Nightschool reads {VERSION}")
    return found
