"""What a developer asks about code, drawn from the code itself; and what needs no code to be answered.

Owns the words, and by what a developer who looks for himself sees that an answer is right: for about half of what he
asks. The rest is for nobody to say: that is what makes the conversations natural.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from distill.facts import ClassFact, Facts, FunctionFact
from distill.generate.selection import own_name
from tests.natural.repositories import Repository

_Fact = TypeVar("_Fact")
_RAISED = re.compile(r"^\s+raise (\w+)\(", re.MULTILINE)
_FOLLOWED = 3  # one in so many conversations goes on
_KNOWLEDGE = 10  # one in so many is about no code at all
_SHORT = 40  # characters of a value that is said whole


_Drawn = tuple[str, str, tuple[str, ...]]  # question, what may follow it, and what a right answer names


@dataclass(frozen=True)
class Asked:
    """`known` are the words that a right answer to the question names; none where only reading would tell."""

    repository: Repository
    question: str
    known: tuple[str, ...] = ()
    follow_up: str = ""

    def pleases(self, answer: str) -> bool:
        """Whether the developer sees that the answer is right."""
        words = (rf"(?<!\w){re.escape(word)}(?!\w)" for word in self.known)
        return bool(self.known) and all(re.search(word, answer) for word in words)


def questions(repositories: Sequence[Repository], chance: random.Random) -> Iterator[Asked]:
    """Questions without end; none comes twice as long as there are others."""
    said: set[str] = set()
    while True:
        repository = chance.choice(repositories)
        for _ in range(50):
            question, follow_up, known = _drawn(repository, chance)
            if question not in said:
                break
        said.add(question)
        yield Asked(repository, question, known, follow_up if chance.randrange(_FOLLOWED) == 0 else "")


def _drawn(repository: Repository, chance: random.Random) -> _Drawn:
    if chance.randrange(_KNOWLEDGE) == 0:
        return (*chance.choice(KNOWLEDGE), ())
    while True:
        if made := chance.choice(_KINDS)(repository.facts, chance):
            return made


def _class(facts: Facts, chance: random.Random) -> _Drawn | None:
    one = _any([fact for fact in facts.classes if not fact.nested], chance)
    if one is None:
        return None
    words = (f"Where is the class {one.name} defined?", f"In which file is {one.name}, and at which line?")
    return chance.choice(words), "Which base classes does it have?", (one.path, str(one.line))


def _bases(facts: Facts, chance: random.Random) -> _Drawn | None:
    one = _any([fact for fact in facts.classes if fact.bases and not fact.nested], chance)
    if one is None:
        return None
    known = tuple(own_name(base) for base in one.bases)
    return f"What does the class {one.name} inherit from?", f"What is {one.name} for?", known


def _methods(facts: Facts, chance: random.Random) -> _Drawn | None:
    one = _any([fact for fact in facts.classes if 1 < len(_own(facts, fact)) <= 8], chance)
    if one is None:
        return None
    own = _own(facts, one)
    follow_up = f"What does its method {chance.choice(own).name} do?"
    return f"How many methods has the class {one.name}?", follow_up, (str(len(own)),)


def _parameters(facts: Facts, chance: random.Random) -> _Drawn | None:
    one = _function(facts, chance, lambda fact: len(fact.parameters) > 1)
    if one is None:
        return None
    words = (
        f"What arguments does the function {one.name} take?",
        f"How do I call {one.name}? What are its parameters?",
    )
    known = tuple(name.strip("*") for name in one.parameters if name not in ("self", "cls"))
    return chance.choice(words), f"And what does {one.name} return?", known


def _purpose(facts: Facts, chance: random.Random) -> _Drawn | None:
    one = _function(facts, chance, lambda fact: True)
    return one and (f"What does {one.name} in {one.path} do?", f"Who calls {one.name}?", ())


def _used(facts: Facts, chance: random.Random) -> _Drawn | None:
    one = _function(facts, chance, lambda fact: True)
    return one and (f"Where is the function {one.name} used?", "Which of these files is the most important one?", ())


def _raises(facts: Facts, chance: random.Random) -> _Drawn | None:
    raised: dict[str, list[str]] = {}
    for path, text in facts.texts.items():
        for name in {*_RAISED.findall(text)}:
            raised.setdefault(name, []).append(path)
    if not raised:
        return None
    name = chance.choice(sorted(raised))
    return f"Which file raises {name}?", "What is the message of the error?", tuple(raised[name])


def _constant(facts: Facts, chance: random.Random) -> _Drawn | None:
    one = _any([fact for fact in facts.constants if fact.name.strip("_").isupper()], chance)
    if one is None:
        return None
    return f"What is the value of {one.name}?", "Where is it used?", (one.value,) if len(one.value) < _SHORT else ()


def _imports(facts: Facts, chance: random.Random) -> _Drawn | None:
    one = _any(facts.imports, chance)
    if one is None:
        return None
    known = tuple(sorted({fact.module for fact in facts.imports if fact.path == one.path}))
    return f"Which modules does {one.path} import?", "Which of them are from the standard library?", known


def _folder(facts: Facts, chance: random.Random) -> _Drawn | None:
    below = [name for name, held in facts.folders.items() if name != "." and len(held) > 2]
    if not below:
        return None
    folder = chance.choice(below)
    held = tuple(name.strip("/") for name in facts.folders[folder])
    return f"What files are in {folder}?", "Which one would you read first?", held


def _absent(facts: Facts, chance: random.Random) -> _Drawn | None:
    name = chance.choice(("load_yaml_config", "RetryBudget", "send_telemetry", "parse_cookies_fast", "LegacyAdapter"))
    there = any(name in text for text in facts.texts.values())
    if there:
        return None
    return f"Is there something called {name} in this code?", "What comes closest to it?", ()


def _version(facts: Facts, chance: random.Random) -> _Drawn | None:
    there = any("__version__" in text for text in facts.texts.values())
    return ("Which version of the package is this?", "Where does that stand?", ()) if there else None


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
