"""`python -m distill.examination.freeze FOLDER…`: make the items of frozen examinations; `make freeze` does all.

Owns how items come about: drawn from the archives by a seed, and written by hand. The same archives, templates and seed
give the same file. For those who keep examinations; nothing that serves or learns imports this.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from distill.errors import DistillError
from distill.examination.frozen import (
    Definition,
    Drawing,
    FrozenItem,
    open_all,
    read_definition,
    read_frozen,
    write_items,
)
from distill.examination.written import written_questions
from distill.generate.drawing import draw
from distill.generate.question import Question
from distill.generate.templates import load_templates
from distill.tools import Toolbox
from distill.vocabularies import load_vocabularies
from distill.vocabularies.choosing import with_vocabularies


async def freeze(folder: Path, templates: Path, vocabularies: Path, repositories: Path) -> list[FrozenItem]:
    """Make and write a folder's items. Archives are fetched into `repositories` where they are not there yet.

    Raises QuestionError, and ArchiveError where an archive or the digest of its files is not what is written down.
    """
    definition = read_definition(folder)
    roots = await open_all(definition.archive, repositories)
    written = await written_questions(folder, {name: Toolbox(root) for name, root in roots.items()})
    drawn = await _drawn(definition.drawn, roots, templates, vocabularies) if definition.drawn else []
    trees = {archive.name: archive.tree for archive in definition.archive}
    items = [FrozenItem(question, trees[question.repository]) for question in [*written, *drawn]]
    write_items(folder, definition, items, vocabularies)
    return list(read_frozen(folder).items)


async def _drawn(drawing: Drawing, roots: Mapping[str, Path], templates: Path, vocabularies: Path) -> list[Question]:
    """Questions in the plan's shares, about half of them in the exploring agent's own vocabulary."""
    found = await draw(
        list(roots.values()), load_templates(templates), drawing.questions, drawing.seed, limit=drawing.result_limit
    )
    return with_vocabularies(found, load_vocabularies(vocabularies), drawing.seed)


def told(definition: Definition, items: Sequence[FrozenItem]) -> str:
    """What was made, in a few lines."""
    counts = {
        word: Counter(getattr(item.question, word) for item in items)
        for word in ("category", "repository", "vocabulary", "template")
    }
    lines = [f"{definition.name} {definition.version}: {len(items)} items, {len(counts['template'])} kinds"]
    for word in ("category", "repository", "vocabulary"):
        lines.append(f"  {word}: " + ", ".join(f"{name} {count}" for name, count in sorted(counts[word].items())))
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Freeze the folders that are named; 1 where one cannot be."""
    parser = argparse.ArgumentParser(prog="python -m distill.examination.freeze", description="Freeze examinations.")
    parser.add_argument("folder", type=Path, nargs="+", help="with examination.toml")
    parser.add_argument("--templates", type=Path, default=Path("data/questions"))
    parser.add_argument("--vocabularies", type=Path, default=Path("data/vocabularies"))
    parser.add_argument("--repositories", type=Path, default=Path("data/repositories"))
    chosen = parser.parse_args(arguments)
    for folder in chosen.folder:
        try:
            items = asyncio.run(freeze(folder, chosen.templates, chosen.vocabularies, chosen.repositories))
            sys.stdout.write(told(read_definition(folder), items) + "\n")
        except DistillError as error:
            sys.stderr.write(f"{folder}: {error}\n")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
