"""Which facts make good slot values, and the oracles most answers need.

Owns taste and limits: names that are not monstrous, paths without odd signs, what occurs once. Knows nothing of
templates.
"""

from __future__ import annotations

import posixpath
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator

from distill.facts import ClassFact, Facts, FileFact, FunctionFact
from distill.generate.question import Oracle
from distill.generate.templates import SHOWN

NAME_LENGTH = 24
PATH_LENGTH = 40
VALUE_LENGTH = 80


def good_name(name: str) -> bool:
    return 3 <= len(name) <= NAME_LENGTH and not name.startswith("__")


def good_path(path: str) -> bool:
    return len(path) <= PATH_LENGTH and re.fullmatch(r"[\w./-]+", path) is not None


def plain_files(facts: Facts) -> list[FileFact]:
    return [file for file in facts.files if good_path(file.path) and not file.binary]


def python_files(facts: Facts) -> list[FileFact]:
    return [file for file in plain_files(facts) if file.path.endswith((".py", ".pyi")) and file.size]


def once_classes(facts: Facts) -> list[ClassFact]:
    times = Counter(fact.name for fact in facts.classes)
    return [fact for fact in facts.classes if times[fact.name] == 1 and good_name(fact.name)]


def once_functions(facts: Facts) -> list[FunctionFact]:
    times = Counter(fact.name for fact in facts.functions)
    return [fact for fact in facts.functions if times[fact.name] == 1 and good_name(fact.name)]


def own_name(base: str) -> str:
    """The class's own name in a base as written: `abc.ABC` and `Generic[T]` are ABC and Generic."""
    return base.split("[", 1)[0].rsplit(".", 1)[-1]


def place_of(fact: ClassFact | FunctionFact) -> Oracle:
    return Oracle("places", (f"{fact.path}:{fact.line}",))


def all_of(names: Iterable[str], allowed: Iterable[str] = ()) -> Oracle:
    """An oracle of all names, or of some of them where an answer would not list all."""
    unique = tuple(sorted(set(names)))
    return Oracle("some" if len(unique) > SHOWN else "names", unique, tuple(sorted(set(allowed))))


def absence(*kinds: str, allowed: Iterable[str] = ()) -> Oracle:
    return Oracle("absent", kinds, tuple(allowed))


def children_of_bases(facts: Facts) -> dict[str, list[ClassFact]]:
    found: dict[str, list[ClassFact]] = defaultdict(list)
    for fact in facts.classes:
        for base in dict.fromkeys(map(own_name, fact.bases)):
            found[base].append(fact)
    return {base: facts for base, facts in found.items() if good_name(base)}


def recombined(names: list[str], cut: str) -> Iterator[str]:
    """Names that look like the repository's own and are not: the front of one with the back of another."""
    known = set(names)
    parts = [(name, re.findall(cut, name)) for name in sorted(known)]
    parts = [(name, pieces) for name, pieces in parts if len(pieces) >= 2]
    for at, (_, front) in enumerate(parts):
        _, back = parts[(at * 7 + 3) % len(parts)]
        made = front[0] + "".join(back[1:])
        if made not in known and good_name(made) and made.isidentifier():
            yield made


def absent_paths(facts: Facts) -> Iterator[str]:
    """Paths in real folders with the names of real files of other folders, or with made names."""
    known = {file.path for file in facts.files}
    stems = sorted({posixpath.basename(file.path) for file in python_files(facts)})
    for at, file in enumerate(python_files(facts)):
        other = stems[(at * 5 + 2) % len(stems)]
        made = posixpath.join(posixpath.dirname(file.path), f"{other.split('.')[0].strip('_')}_{at % 7 + 2}.py")
        if made not in known and good_path(made):
            yield made


def base_names(fact: ClassFact) -> Oracle:
    """The bases by their own names; what stands in their brackets and before their dots may be said too."""
    inner = {word for base in fact.bases for word in re.findall(r"[\w.]+", base)}
    inner |= {part for word in inner for part in word.split(".")}
    return Oracle("names", tuple(sorted({*map(own_name, fact.bases)})), tuple(sorted({*inner, *fact.bases})))


def by_basename(facts: Facts) -> dict[str, list[FileFact]]:
    found: dict[str, list[FileFact]] = defaultdict(list)
    for file in facts.files:
        found[posixpath.basename(file.path)].append(file)
    return found


def constants(facts: Facts) -> Iterator[tuple[str, str]]:
    times = Counter(fact.name for fact in facts.constants)
    for fact in facts.constants:
        if times[fact.name] == 1 and good_name(fact.name):
            yield fact.name, f"{fact.path}:{fact.line}"


def good_line(line: str) -> bool:
    return 3 <= len(line) <= VALUE_LENGTH and line.isprintable()


def once_named(facts: Facts) -> Iterator[tuple[str, FileFact]]:
    for name, files in by_basename(facts).items():
        if len(files) == 1 and good_path(files[0].path) and not files[0].binary:
            yield name, files[0]


def top(found: Iterable[ClassFact | FunctionFact], path: str) -> Oracle | None:
    names = [fact.name for fact in found if fact.path == path and not fact.nested]
    return all_of(names, (path,)) if 0 < len(names) <= 8 else None
