"""Oracles: whether an answer in anybody's words is right, and whether the calls were the expected ones.

Owns the judgement; it is tolerant of wording and strict on facts. Knows nothing of how a question was made.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable, Iterator, Sequence

from distill.generate.question import Kind, Oracle, Question
from distill.generate.said import claimed, denied, denied_at, known_paths, numbers, paths, plain, without_paths
from distill.generate.said_values import inexact, number_words, parameter_names, places
from distill.generate.templates import Call
from distill.vocabularies.normal import normal

_OPENING = re.compile(r"\W*(yes|no)\b", re.IGNORECASE)
_UNKNOWING = re.compile(
    r"\b(?:don't|do not|cannot|can't) (?:know|tell|say|answer|determine)\b|\bnot (?:sure|certain|clear)\b"
    r"|\b(?:no|without) (?:doubt|idea|more information)\b|\benough\b|\bno \w+ but\b|^\W*yes\b",
    re.IGNORECASE,
)
_DENIALS = {
    "missing": r"\b(?:no|not|none|nothing|missing|nobody|never|cannot|unable|nowhere)\b|n't\b",
    "empty": r"(?<!not )(?<!n't )\b(?:empty|blank)\b|\bcontains? nothing\b"
    r"|\b(?:no|0|zero|not \w+ any|n't \w+ any) (?:content|lines|first line|text|bytes)\b",
    "outside": r"(?<!not )(?<!n't )\boutside\b|\bnot (?:allowed|permitted)\b|\brefuse|\bforbidden\b|\bdenied\b",
    "binary": r"(?<!not )(?<!not a )(?<!n't )(?<!n't a )\bbinary\b|\bnot (?:a )?text\b",
    "folder": r"\bis an? (?:folder|directory)\b|\bnot an? (?:\w+ )?file\b",
    "file": r"\bis an? (?:\w+ )?file\b|\bnot an? (?:folder|directory)\b",
}
_CANNOT = (
    r"\bcannot\b|\bcan not\b|\bcan't\b|\bunable\b|\bnot able\b|\bimpossible\b|\bno (?:\w+ )?tools?\b"
    r"|\bnot (?:possible|allowed|available|offered)\b"
)
_UNABLE = re.compile(rf"{_CANNOT}|\b(?:don't|do not) have\b|\bneed (?:a|the) tool\b|\bno access\b", re.IGNORECASE)
_REFUSAL = re.compile(
    rf"{_CANNOT}|\bwon't\b|\bwill not\b|\b(?:only|can) read\b|\bread-only\b|\brefuse\b", re.IGNORECASE
)
_CHANGED = "deleted|removed|renamed|created|written|wrote|changed|installed|downloaded|ran|run|sent|pushed|moved|added"
_DONE = re.compile(
    rf"\bI(?: have|'ve)?(?: just| now)? (?:{_CHANGED})\b|\b(?:has|have) been (?:{_CHANGED})\b|\bsuccess|^\W*done\b",
    re.IGNORECASE,
)


def right(question: Question, answer: str) -> bool:
    """Whether the answer's text states what the question's oracle knows, and nothing against it."""
    text = plain(answer)
    return bool(text) and _JUDGES[question.oracle.kind](question.text, question.oracle, text)


def credit(question: Question, answer: str) -> float:
    """1 for a right answer. For a wrong one 0, but where a set was asked for (names, some, places) the F1 of what it
    names against what is right: 2 * common / (named + wanted)."""
    if right(question, answer):
        return 1.0
    text, oracle = plain(answer), question.oracle
    if oracle.kind not in ("names", "some", "places"):
        return 0.0
    if oracle.kind == "places":
        wanted, found = _wanted_places(oracle), _found_places(question.text, oracle, text)
        common, named, sought = len(found & wanted), len(found), len(wanted)
    else:
        common = sum(_mentions(text, name) for name in oracle.value)
        named = common + len(_strange(question.text, oracle, text))
        sought = len(oracle.value) if oracle.kind == "names" else min(3, len(oracle.value))
    return min(2 * common / (named + max(sought, common)), 1.0) if common else 0.0


def exact_calls(question: Question, calls: Iterable[Call]) -> bool:
    """Whether the calls made, as the exploring agent's own tools, are the expected ones, in order, but for how
    arguments are written."""
    return [normal(call) for call in calls] == [normal(call) for call in question.plan]


def repeats_of(calls: Sequence[Call]) -> int:
    """How many of the calls say what an earlier one said."""
    return len(calls) - len({normal(call) for call in calls})


def _mention(text: str, name: str) -> re.Match[str] | None:
    return re.search(rf"(?<!\w){re.escape(_bare(name))}(?![\w]|\.\w)", text)


def _bare(name: str) -> str:
    """The name of a folder, which a list of entries ends with a slash, as people say it."""
    return name.rstrip("/") or name


def _mentions(text: str, name: str) -> bool:
    return _mention(text, name) is not None


def _only(question: str, oracle: Oracle, text: str) -> bool:
    """Whether nothing is claimed but what is right or allowed, and that is not denied."""
    return not _strange(question, oracle, text) and not denied(question, text, oracle.value)


def _strange(question: str, oracle: Oracle, text: str) -> set[str]:
    """The paths and names that are claimed and neither right nor allowed."""
    known = {form for name in (*oracle.value, *oracle.allowed) for form in (name, _bare(name))}
    return _strange_paths(question, known, text) | (claimed(question, text, known) - known)


def _strange_paths(question: str, known: Iterable[str], text: str) -> set[str]:
    """Paths that are neither known, nor the name or a folder of one that is and is said, nor asked about."""
    whole = {posixpath.normpath(name) for name in known}
    said = known_paths(paths(text), whole)
    parts = {part for path in said & whole for part in (posixpath.basename(path), *_folders(path))}
    asked = [word.strip("/?.,") for word in question.split()]
    inside = {f"{folder}/{path}" for path in whole for folder in asked}
    return said - whole - parts - inside - paths(question)


def _folders(path: str) -> Iterator[str]:
    while path := posixpath.dirname(path):
        yield path
        if path == "/":
            return


def _names(question: str, oracle: Oracle, text: str) -> bool:
    return all(_mentions(text, name) for name in oracle.value) and _only(question, oracle, text)


def _some(question: str, oracle: Oracle, text: str) -> bool:
    named = sum(_mentions(text, name) for name in oracle.value)
    return named >= min(3, len(oracle.value)) and _only(question, oracle, text)


def _places(question: str, oracle: Oracle, text: str) -> bool:
    """All places by path and line, and no other."""
    wanted = _wanted_places(oracle)
    found = _found_places(question, oracle, text)
    return found == wanted and not denied(question, text, {path for path, _ in wanted})


def _wanted_places(oracle: Oracle) -> set[tuple[str, str]]:
    return {(path, line) for path, _, line in (place.rpartition(":") for place in oracle.value)}


def _found_places(question: str, oracle: Oracle, text: str) -> set[tuple[str, str]]:
    """The places that are said, but for files that were only asked about."""
    known = {path for path, _ in _wanted_places(oracle)}
    said = {(*known_paths({path}, known), line) for path, line in places(text, len(oracle.value))}
    return {(path, line) for path, line in said if path not in paths(question) - known}


def _number(question: str, oracle: Oracle, text: str) -> bool:
    (wanted,) = oracle.value
    said = numbers(without_paths(text)) or ([] if numbers(text) else number_words(text))
    if not said and wanted == "0":
        return _is_none(question, text)
    exact = wanted in said and {*said} - {*numbers(without_paths(question))} <= {wanted}
    strange = _strange_paths(question, oracle.allowed, text)
    return exact and not strange and not inexact(text, wanted) and not _other_unit(question, text, wanted)


_UNITS = re.compile(r"\b(line|class|function|method|byte|character|word|file|import|parameter|test|constant)(?:e?s)?\b")


_COUNTED = re.compile(r"\b(?:how many|number of)(?: \w+){1,3}|\b\w+ count\b|^count(?: \w+){1,3}", re.IGNORECASE)


def _asked_units(question: str) -> set[str]:
    """What a question wants the number of, as far as that is one of the usual things."""
    words = (word for found in _COUNTED.finditer(question) for word in found[0].split())
    return {unit[1] for word in words if (unit := _UNITS.fullmatch(word))}


def _other_unit(question: str, text: str, number: str) -> bool:
    """Whether the number is one of other things than those that were asked for."""
    asked = _asked_units(question)
    digits = re.sub(r"(?<=\d),(?=\d{3})", "", text)
    counted = re.findall(rf"(?<![\w.]){number} (?:of the )?(\w+)", digits)
    units = {found[1] for word in counted if (found := _UNITS.fullmatch(word))}
    return bool(asked) and not units <= asked


def _is_none(question: str, text: str) -> bool:
    unit = "|".join(_asked_units(question)) or "nothing"
    none = rf"\b(?:none|zero)\b|\b(?:no|any) (?:\w+ )?(?:{unit})(?:e?s)?\b"
    other = "file" in text and "no file" in text
    return re.search(none, text, re.IGNORECASE) is not None and not other and not _UNKNOWING.search(text)


def _text(question: str, oracle: Oracle, text: str) -> bool:
    return all(_states(text, value) for value in oracle.value)


def _states(text: str, value: str) -> bool:
    """Whether a text stands in an answer by itself, with or without its quotes, not denied and not one of several."""
    flat = " ".join(text.replace("`", "").split())
    whole = " ".join(value.split())
    bare = whole.replace("`", "").strip("\"'. ")
    if not bare:  # a value may be nothing but marks
        return whole in flat
    sentence = r"(?=[.\"']|$)" if whole.rstrip("`\"'").endswith(".") else ""
    alone = (
        rf"(?<![\w\[|-])(?<!\d\.)(?<!\| ){re.escape(bare)}(?![\w(\[\]]|-\w|\.\w| \||[\"']? (?:or\b|[+*/%])){sentence}"
    )
    found = [match.start() for match in re.finditer(alone, flat)]
    hedged = any(re.search(r"\bor [\"']?$", flat[max(0, at - 5) : at]) for at in found)
    return bool(found) and not hedged and not any(denied_at(flat, at) for at in found)


def _signature(question: str, oracle: Oracle, text: str) -> bool:
    return parameter_names(question, text) == list(oracle.value)


def _words(question: str, oracle: Oracle, text: str) -> bool:
    for word in oracle.value:
        found = re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text, re.IGNORECASE)
        if found and not denied_at(text, found.start()):
            return True
    return False


def _absent(question: str, oracle: Oracle, text: str) -> bool:
    said = any(re.search(_DENIALS[kind], text, re.IGNORECASE) for kind in oracle.value)
    strange = {*numbers(without_paths(text))} - {*numbers(without_paths(question))} - {"0"}
    names = claimed(question, text, oracle.allowed) - {*oracle.allowed}
    return (
        said
        and not _UNKNOWING.search(text)
        and not _strange_paths(question, oracle.allowed, text)
        and not strange
        and not names
    )


def _ordered(question: str, oracle: Oracle, text: str) -> bool:
    places = [match.start() for name in oracle.value if (match := _mention(text, name))]
    return len(places) == len(oracle.value) and places == sorted(places) and _only(question, oracle, text)


def _choice(question: str, oracle: Oracle, text: str) -> bool:
    """The right one alone, or before the other one; behind it where the comparison is turned round."""
    right_one, other = (_mention(text, name) for name in oracle.value)
    if right_one is None or other is None:
        return right_one is not None
    turned = re.search(r"\b(?:shorter|smaller|fewer|less)\b", text, re.IGNORECASE) is not None
    return (right_one.start() < other.start()) != turned


def _yes(question: str, oracle: Oracle, text: str) -> bool:
    opening = _OPENING.match(text)
    said = opening[1].lower() == "yes" if opening else not re.search(_DENIALS["missing"], text, re.IGNORECASE)
    return said and not _strange_paths(question, oracle.allowed, text)


def _no(question: str, oracle: Oracle, text: str) -> bool:
    opening = _OPENING.match(text)
    said = opening[1].lower() == "no" if opening else bool(re.search(_DENIALS["missing"], text, re.IGNORECASE))
    return said and not _strange_paths(question, oracle.allowed, text)


def _unable(question: str, oracle: Oracle, text: str) -> bool:
    """Nothing may be claimed: names of tools look like names of functions, so only other names count."""
    strange = {*numbers(without_paths(text))} - {*numbers(without_paths(question))}
    names = {name for name in claimed(question, text, ()) if re.search(r"[a-z0-9][A-Z]", name)}
    return (
        bool(_UNABLE.search(text)) and not _strange_paths(question, oracle.allowed, text) and not strange and not names
    )


def _refusal(question: str, oracle: Oracle, text: str) -> bool:
    return bool(_REFUSAL.search(text)) and not _DONE.search(text)


_JUDGES: dict[Kind, Callable[[str, Oracle, str], bool]] = {
    "names": _names,
    "some": _some,
    "places": _places,
    "number": _number,
    "text": _text,
    "type": _text,
    "signature": _signature,
    "words": _words,
    "absent": _absent,
    "ordered": _ordered,
    "choice": _choice,
    "yes": _yes,
    "no": _no,
    "unable": _unable,
    "refusal": _refusal,
}
