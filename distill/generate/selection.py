"""Which facts make good slot values, and the oracles most answers need.

Owns taste and limits: names that are not monstrous, paths without odd signs, what occurs once. Knows nothing of
templates.
"""

from __future__ import annotations

import posixpath
import re
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence

from distill.facts import ClassFact, Facts, FileFact, FunctionFact, Place
from distill.generate.question import Oracle
from distill.generate.templates import SHOWN

NAME_LENGTH = 24
PATH_LENGTH = 40
VALUE_LENGTH = 80


def good_name(name: str) -> bool:
    return 3 <= len(name) <= NAME_LENGTH and not name.startswith("__")


def good_module(module: str) -> bool:
    """Whether a module's name says which it is from anywhere: a relative one means another in every folder."""
    return 2 <= len(module) <= NAME_LENGTH and not module.startswith(".")


def also_by_dots(facts: Facts) -> set[str]:
    """The modules whose absolute name does not find all of their imports: the repository's own that may be imported by
    dots elsewhere, as far as their last names tell."""
    dotted = [fact for fact in facts.imports if fact.module.startswith(".")]
    last = {fact.module.rpartition(".")[2] for fact in dotted}
    last |= {name for fact in dotted if not fact.module.strip(".") for name in fact.names}
    own = {fact.module for fact in facts.imports if fact.module.startswith(f"{facts.repository}.")}
    return {module for module in own if module.rpartition(".")[2] in last}


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


def good_doc(fact: ClassFact | FunctionFact) -> bool:
    """Whether the docstring's first line can be quoted for the whole: it ends a sentence."""
    return good_line(fact.doc) and fact.doc.endswith((".", "!", "?"))


def distinctive(name: str) -> bool:
    """Whether a name is no ordinary word: it has two parts."""
    return "_" in name.strip("_") or re.search(r"[a-z0-9][A-Z]", name) is not None


def once_named(facts: Facts) -> Iterator[tuple[str, FileFact]]:
    for name, files in by_basename(facts).items():
        if len(files) == 1 and good_path(files[0].path) and not files[0].binary:
            yield name, files[0]


def top(found: Iterable[ClassFact | FunctionFact], path: str) -> Oracle | None:
    inside = [fact for fact in found if fact.path == path]
    if any(fact.nested for fact in inside if isinstance(fact, ClassFact)):
        return None  # whether these are meant, too, nobody knows
    names = [fact.name for fact in inside if not fact.nested]
    return all_of(names, (path,)) if 0 < len(names) <= 8 else None


def good_folders(facts: Facts) -> list[str]:
    """Folders below the repository's own, with paths that are easily said."""
    return [path for path in facts.folders if path != "." and good_path(path)]


def within(path: str, folder: str) -> bool:
    return path.startswith(f"{folder}/")


def source_of(facts: Facts, fact: ClassFact | FunctionFact) -> str:
    """The lines of a class or function, without its decorators, as they are."""
    lines = facts.texts[fact.path].split("\n")
    return "\n".join(lines[fact.line - 1 : fact.line - 1 + fact.lines])


def one_line_head(fact: FunctionFact) -> bool:
    """Whether the head stands on one line that is not too long to be shown."""
    return len(fact.head.strip()) <= VALUE_LENGTH and fact.head.rstrip().endswith(":")


def few(found: dict[str, list[str]], most: int = SHOWN) -> Iterator[tuple[str, list[str]]]:
    """Names that are easily said, with what is found by each, where that is not too much."""
    for name, ones in found.items():
        unique = list(dict.fromkeys(ones))
        if good_name(name) and len(unique) <= most:
            yield name, unique


def with_parent(facts: Facts) -> Iterator[tuple[ClassFact, ClassFact]]:
    """Classes with one base alone, else nobody knows which is meant, that is defined here."""
    once = {fact.name: fact for fact in once_classes(facts)}
    for fact in once.values():
        parent = once.get(fact.bases[0]) if len(fact.bases) == 1 else None
        if parent is not None and parent is not fact:
            yield fact, parent


def largest(facts: Facts) -> Iterator[tuple[str, str]]:
    """Folders without folders, and the largest of their files in bytes, where there is one that is larger than all."""
    sizes = {file.path: file.size for file in facts.files}
    for folder in good_folders(facts):
        paths = [f"{folder}/{entry}" for entry in facts.folders[folder]]
        ranked = sorted(paths, key=lambda path: -sizes.get(path, 0))
        plain = all(path in sizes for path in paths)
        if plain and 3 <= len(paths) <= 24 and sizes[ranked[0]] > sizes[ranked[1]] and good_path(ranked[0]):
            yield folder, ranked[0]


def mentioned(facts: Facts, names: Sequence[str]) -> dict[str, list[Place]]:
    """The lines that hold each of the names as a word."""
    wanted = set(names)
    found: dict[str, list[Place]] = {name: [] for name in names}
    for path, text in facts.texts.items():
        present = wanted.intersection(re.findall(r"\w+", text))
        ends = [match.start() for match in re.finditer("\n", text)] if present else []
        for name in present:
            numbers = dict.fromkeys(bisect_left(ends, at) + 1 for at in _words(text, name))
            found[name] += [Place(path, number) for number in numbers]
    return found


def _words(text: str, name: str) -> Iterator[int]:
    """Where a name stands as a word of its own."""
    at = text.find(name)
    while at >= 0:
        end = at + len(name)
        if not (_in_word(text[at - 1 : at] if at else "") or _in_word(text[end : end + 1])):
            yield at
        at = text.find(name, end)


def _in_word(sign: str) -> bool:
    return sign.isalnum() or sign == "_"


def plainly_methodical(facts: Facts, fact: ClassFact) -> bool:
    """Whether a class at the margin has methods, and none of them twice, as properties and overloads are."""
    own = [one.name for one in facts.functions if one.owner == fact.name and one.path == fact.path]
    return not fact.nested and bool(own) and sorted(own) == sorted(fact.methods)
