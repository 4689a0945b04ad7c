"""What a developer asks about code, drawn from the code itself; and what needs no code to be answered.

Owns the words. The answers are nobody's here: that is what makes the conversations natural.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from distill.generate.facts import ClassFact, Facts, FunctionFact
from tests.natural.repositories import Repository

_Fact = TypeVar("_Fact")
_RAISED = re.compile(r"^\s+raise (\w+)\(", re.MULTILINE)
_FOLLOWED = 3  # one in so many conversations goes on
_KNOWLEDGE = 10  # one in so many is about no code at all


@dataclass(frozen=True)
class Asked:
    repository: Repository
    question: str
    follow_up: str = ""


def questions(repositories: Sequence[Repository], chance: random.Random) -> Iterator[Asked]:
    """Questions without end; none comes twice as long as there are others."""
    said: set[str] = set()
    while True:
        repository = chance.choice(repositories)
        for _ in range(50):
            question, follow_up = _drawn(repository, chance)
            if question not in said:
                break
        said.add(question)
        yield Asked(repository, question, follow_up if chance.randrange(_FOLLOWED) == 0 else "")


def _drawn(repository: Repository, chance: random.Random) -> tuple[str, str]:
    if chance.randrange(_KNOWLEDGE) == 0:
        return chance.choice(KNOWLEDGE)
    while True:
        if made := chance.choice(_KINDS)(repository.facts, chance):
            return made


def _class(facts: Facts, chance: random.Random) -> tuple[str, str] | None:
    one = _any([fact for fact in facts.classes if not fact.nested], chance)
    if one is None:
        return None
    words = (f"Where is the class {one.name} defined?", f"In which file is {one.name}, and at which line?")
    return chance.choice(words), "Which base classes does it have?"


def _bases(facts: Facts, chance: random.Random) -> tuple[str, str] | None:
    one = _any([fact for fact in facts.classes if fact.bases and not fact.nested], chance)
    return one and (f"What does the class {one.name} inherit from?", f"What is {one.name} for?")


def _methods(facts: Facts, chance: random.Random) -> tuple[str, str] | None:
    one = _any([fact for fact in facts.classes if 1 < len(_own(facts, fact)) <= 8], chance)
    if one is None:
        return None
    method = chance.choice(_own(facts, one)).name
    return f"How many methods has the class {one.name}?", f"What does its method {method} do?"


def _parameters(facts: Facts, chance: random.Random) -> tuple[str, str] | None:
    one = _function(facts, chance, lambda fact: len(fact.parameters) > 1)
    if one is None:
        return None
    words = (
        f"What arguments does the function {one.name} take?",
        f"How do I call {one.name}? What are its parameters?",
    )
    return chance.choice(words), f"And what does {one.name} return?"


def _purpose(facts: Facts, chance: random.Random) -> tuple[str, str] | None:
    one = _function(facts, chance, lambda fact: True)
    return one and (f"What does {one.name} in {one.path} do?", f"Who calls {one.name}?")


def _used(facts: Facts, chance: random.Random) -> tuple[str, str] | None:
    one = _function(facts, chance, lambda fact: True)
    return one and (f"Where is the function {one.name} used?", "Which of these files is the most important one?")


def _raises(facts: Facts, chance: random.Random) -> tuple[str, str] | None:
    found = sorted({name for text in facts.texts.values() for name in _RAISED.findall(text)})
    return (f"Which file raises {chance.choice(found)}?", "What is the message of the error?") if found else None


def _constant(facts: Facts, chance: random.Random) -> tuple[str, str] | None:
    one = _any([fact for fact in facts.constants if fact.name.strip("_").isupper()], chance)
    return one and (f"What is the value of {one.name}?", "Where is it used?")


def _imports(facts: Facts, chance: random.Random) -> tuple[str, str] | None:
    one = _any(facts.imports, chance)
    return one and (f"Which modules does {one.path} import?", "Which of them are from the standard library?")


def _folder(facts: Facts, chance: random.Random) -> tuple[str, str] | None:
    below = [name for name, held in facts.folders.items() if name != "." and len(held) > 2]
    return (f"What files are in {chance.choice(below)}?", "Which one would you read first?") if below else None


def _absent(facts: Facts, chance: random.Random) -> tuple[str, str] | None:
    name = chance.choice(("load_yaml_config", "RetryBudget", "send_telemetry", "parse_cookies_fast", "LegacyAdapter"))
    there = any(name in text for text in facts.texts.values())
    return None if there else (f"Is there something called {name} in this code?", "What comes closest to it?")


def _version(facts: Facts, chance: random.Random) -> tuple[str, str] | None:
    there = any("__version__" in text for text in facts.texts.values())
    return ("Which version of the package is this?", "Where does that stand?") if there else None


def _own(facts: Facts, one: ClassFact) -> list[FunctionFact]:
    return [fact for fact in facts.functions if fact.owner == one.name and fact.path == one.path]


def _function(facts: Facts, chance: random.Random, wanted: Callable[[FunctionFact], bool]) -> FunctionFact | None:
    public = [fact for fact in facts.functions if not fact.nested and not fact.name.startswith("_") and wanted(fact)]
    return _any(public, chance)


def _any(found: Sequence[_Fact], chance: random.Random) -> _Fact | None:
    return chance.choice(found) if found else None


_KINDS = (
    *(_class, _class, _bases, _methods, _parameters, _parameters, _purpose, _purpose, _used, _raises, _raises),
    *(_constant, _imports, _folder, _absent, _version),
)
KNOWLEDGE = (
    ("What is the difference between a list and a tuple in Python?", "When would you take the tuple?"),
    ("What does the HTTP status 429 mean?", "Which header tells how long to wait?"),
    ("How do I undo the last git commit and keep its changes?", "And if it was pushed already?"),
    ("What is a context manager?", "Show me a short one."),
    ("What does functools.wraps do?", "What happens without it?"),
    ("Is a Python set ordered?", "And a dict?"),
    ("What is the difference between `is` and `==`?", "Which one is right for None?"),
    ("How do I profile a slow Python function?", "Which one comes with Python?"),
    ("What is an abstract base class for?", "Can it have code of its own?"),
    ("How do I run only one test with pytest?", "And only those that failed the last time?"),
    ("What does asyncio.gather do with an exception?", "How do I get all the results anyway?"),
    ("Why should I not use a mutable default argument?", "How is it done instead?"),
)
