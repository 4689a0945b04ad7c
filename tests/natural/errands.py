"""What a developer asks aider for: edits of one short file, and questions about it, in one to three messages.

Owns the words, and which files are short enough. Knows nothing of aider or of who answers.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from distill.facts import Facts, FunctionFact
from tests.natural.repositories import Repository

_SHORTEST, _LONGEST = 8, 35  # lines of a file that a small model writes anew in a few seconds
_BESIDES = 2  # other files of the repository
_NAMES = ("source", "target", "given", "entry", "chosen", "wanted")
FORMS = ("whole", "diff", "ask", "ask", "ask")


@dataclass(frozen=True)
class Errand:
    """`files` is the repository by path; `path` is the file in the chat, and `words` what is said, one after the
    other. `form` is aider's edit format, or "ask" for its chat mode without edits."""

    files: dict[str, str]
    path: str
    form: str
    words: list[str]


def errands(repositories: Sequence[Repository], chance: random.Random) -> Iterator[Errand]:
    """Errands without end."""
    places = [(repository.facts, path) for repository in repositories for path in _short(repository.facts)]
    while True:
        facts, path = chance.choice(places)
        form = chance.choice(FORMS)
        function = chance.choice([fact for fact in facts.functions if fact.path == path])
        said = _questions(function, path) if form == "ask" else _edits(function, path, chance)
        first, *more = said
        others = chance.sample(_short(facts), k=min(_BESIDES, len(_short(facts))))
        held = {name: facts.texts[name] for name in sorted({path, *others})}
        following = chance.sample(more, k=min(len(more), max(0, chance.randrange(5) - 2)))
        yield Errand(held, path, form, [first, *following] if form != "ask" else [chance.choice(said), *following[:1]])


def _short(facts: Facts) -> list[str]:
    """Files that hold a function or a method and little else."""
    with_functions = {fact.path for fact in facts.functions}
    sizes = {file.path: file.lines for file in facts.files}
    return [path for path in facts.texts if path in with_functions and _SHORTEST <= sizes[path] <= _LONGEST]


def _edits(function: FunctionFact, path: str, chance: random.Random) -> list[str]:
    """What is asked for first, then what may be asked for besides."""
    name = function.name
    plain = [
        parameter for parameter in function.parameters if parameter not in ("self", "cls") and "*" not in parameter
    ]
    wanted = [
        f"Add a docstring to {name} in {path}." if not function.doc else f"Make the docstring of {name} clearer.",
        f"Add a function {chance.choice(_NEW)}",
        f"Add a comment above {name} that says when it is used.",
    ]
    if plain:
        wanted += [
            f"Rename the parameter {plain[0]} of {name} to {chance.choice(_NAMES)}.",
            f"Give the parameter {plain[-1]} of {name} the default None.",
            f"Let {name} raise a ValueError if {plain[-1]} is None.",
        ]
    first = chance.choice(wanted)
    return [first, *[other for other in (*wanted[2:3], *_AFTERWARDS) if other != first]]


def _questions(function: FunctionFact, path: str) -> list[str]:
    name = function.name
    return [
        f"What does {name} do?",
        f"Can {name} raise an error?",
        f"What would a test of {name} look like?",
        f"Is there anything in {path} that could be made simpler?",
        f"What does {name} return?",
    ]


_NEW = (
    "chunked(items, size) that gives lists of at most `size` items.",
    "is_blank(text) that says whether a text is empty or only white space.",
    "first_line(text) that gives the first line of a text.",
    "flattened(lists) that makes one list of many.",
    "clamp(value, low, high) that keeps a number between two others.",
    "counted(words) that counts how often each word comes.",
)
_AFTERWARDS = (
    "Add type hints to the new or changed code.",
    "Write it a bit shorter, please.",
    "Thanks. Does anything else have to change?",
    "Undo that last change, please.",
)
