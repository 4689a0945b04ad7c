"""Setting an examination: its items, whether they are frozen or drawn anew each time. Owns the choice of the kind."""

from __future__ import annotations

from pathlib import Path

from distill.examination.drawn import DrawnExamination, read_drawn, set_drawn
from distill.examination.frozen import DEFINITION, FrozenExamination, read_frozen, set_frozen
from distill.examination.items import Item

Examination = DrawnExamination | FrozenExamination


def read_examination(path: Path) -> Examination:
    """A folder is a frozen examination, a file one that is drawn. Raises QuestionError saying what is wrong with it."""
    return read_frozen(path) if path.is_dir() else read_drawn(path)


async def set_questions(examination: Examination, templates: Path, repositories: Path) -> list[Item]:
    """The examination's items, the same each time, on copies under `repositories` of what they ask about.

    Raises QuestionError, RepositoryError, and ArchiveError where a frozen one's repositories are not those it froze.
    """
    if isinstance(examination, FrozenExamination):
        return await set_frozen(examination, repositories)
    return await set_drawn(examination, templates, repositories)


def frozen_in(folder: Path) -> list[FrozenExamination]:
    """All frozen examinations of a folder, by name. Raises QuestionError."""
    return [read_frozen(path.parent) for path in sorted(folder.glob(f"*/{DEFINITION}"))]
