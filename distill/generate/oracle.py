"""Oracles: whether an answer in anybody's words is right, and whether the calls were the expected ones.

Owns the judgement; it is tolerant of wording and strict on facts. Knows nothing of how a question was made.
"""

from __future__ import annotations

import ast
import posixpath
import re
from collections.abc import Callable, Iterable

from distill.generate.question import Kind, Oracle, Question
from distill.generate.templates import Call
from distill.vocabularies.normal import normal

_PATH = re.compile(
    r"(?<![\w/.-])[\w.+-]*(?:/[\w.+-]+)+/?|(?<![\w/-])[\w.+-]*\w\.(?:pyi?|txt|md|toml|json|html|css|js|cfg|typed)\b"
)
_OPENING = re.compile(r"\W*(yes|no)\b", re.IGNORECASE)
_ORDINARY = frozenset({"", "in", "at", "on", "of", "and", "or", "the", "both", "all", "only", "which", "respectively"})
_WORD = re.compile(r"[A-Za-z_]\w*(?:\.\w+)*")
_NUMBER = re.compile(r"(?<![\w.])-?\d+(?![\w]|\.\d)")
_LISTED = re.compile(
    r"[:,]\s+(?:and\s+)?`?([A-Za-z_.][\w.]*)`?(?=\s*(?:\(|,|$|\.$|\.\s|\sand\s))|\band\s+`?([A-Za-z_][\w.]*)`?(?=\s*(?:\(|$|\.$))"
)
_DENIALS = {
    "missing": r"\bno\b|\bnot\b|n't\b|\bnone\b|\bnothing\b|\bmissing\b|\bnobody\b|\bnever\b",
    "empty": r"\bempty\b|\bno (?:content|lines|first line|text)\b|\bblank\b",
    "outside": r"\boutside\b|\bnot allowed\b|\brefuse",
    "binary": r"\bbinary\b",
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
    text = " ".join(answer.split())
    return bool(text) and _JUDGES[question.oracle.kind](question.text, question.oracle, text)


def score(question: Question, answer: str) -> float:
    """1 for a right answer. For a wrong one 0, but where a set was asked for (names, some, places) the F1 of what it
    names against what is right: 2 * common / (named + wanted)."""
    if right(question, answer):
        return 1.0
    text, oracle = " ".join(answer.split()), question.oracle
    if oracle.kind not in ("names", "some", "places"):
        return 0.0
    if oracle.kind == "places":
        wanted = {tuple(place.rsplit(":", 1)) for place in oracle.value}
        found = _places_in(re.sub(r"(?<=\w):(?=\d)", " ", text))
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


def _paths(text: str) -> set[str]:
    return {posixpath.normpath(match.rstrip(".,")) for match in _PATH.findall(text)}


def _without_paths(text: str) -> str:
    return _PATH.sub(" ", text)


def _claimed(question: str, text: str) -> set[str]:
    """The names an answer mentions: what looks like code, and what stands in a list; what was asked does not count."""
    plain = _without_paths(text)
    words = {word.rstrip(".") for word in _WORD.findall(plain)}
    coded = {word for word in words if "_" in word or re.search(r"[a-z0-9][A-Z]", word)}
    coded |= set(re.findall(r"`([\w.]+)`", plain))
    listed = {first or second for first, second in _LISTED.findall(plain)}
    asked = {word.rstrip(".") for word in _WORD.findall(question)}
    return (coded | {name.rstrip(".") for name in listed}) - asked - _ORDINARY


def _mention(text: str, name: str) -> re.Match[str] | None:
    return re.search(rf"(?<!\w){re.escape(name)}(?![\w]|\.\w)", text)


def _mentions(text: str, name: str) -> bool:
    return _mention(text, name) is not None


def _strange(question: str, oracle: Oracle, text: str) -> set[str]:
    """The paths and names that are claimed and neither right nor allowed."""
    known = {*oracle.value, *oracle.allowed}
    paths = {posixpath.normpath(name) for name in known}
    return (_paths(text) - paths - _paths(question)) | (_claimed(question, text) - known)


def _names(question: str, oracle: Oracle, text: str) -> bool:
    return all(_mentions(text, name) for name in oracle.value) and not _strange(question, oracle, text)


def _some(question: str, oracle: Oracle, text: str) -> bool:
    named = sum(_mentions(text, name) for name in oracle.value)
    return named >= min(3, len(oracle.value)) and not _strange(question, oracle, text)


def _places(question: str, oracle: Oracle, text: str) -> bool:
    """All places by path and line, no other path; a place's line stands behind its path or before the next one."""
    wanted = {tuple(place.rsplit(":", 1)) for place in oracle.value}
    joined = re.sub(r"(?<=\w):(?=\d)", " ", text)
    if _paths(joined) - _paths(question) != {path for path, _ in wanted} - _paths(question):
        return False
    numbers = set(_NUMBER.findall(_without_paths(joined)))
    if len(wanted) == 1:
        return numbers == {line for _, line in wanted} and all(_mentions(joined, path) for path, _ in wanted)
    return _places_in(joined) == wanted


def _places_in(text: str) -> set[tuple[str, ...]]:
    return {(posixpath.normpath(path), line) for path, line in re.findall(r"([\w./+-]+\.\w+)\D*?\s(\d+)\b", text)}


def _number(question: str, oracle: Oracle, text: str) -> bool:
    path_ok = _paths(text) <= {*_paths(question), *oracle.allowed}
    said = _NUMBER.findall(_without_paths(text))
    asked = set(_NUMBER.findall(_without_paths(question)))
    (wanted,) = oracle.value
    return path_ok and wanted in said and set(said) - asked <= {wanted}


def _text(question: str, oracle: Oracle, text: str) -> bool:
    def bare(value: str) -> str:
        return " ".join(value.split()).strip("`\"'. ")

    wanted = [bare(value) or value.strip() for value in oracle.value]  # a value may be nothing but marks
    return all(_stands(value, text.replace("`", "")) or _stands(value, text) for value in wanted)


def _stands(value: str, text: str) -> bool:
    """Whether the text has the value, and not within a longer word or number."""
    before = r"(?<!\w)(?<!\d\.)" if value[:1].isalnum() else ""
    behind = r"(?!\w|\.\d)" if value[-1:].isalnum() else ""
    return re.search(before + re.escape(value) + behind, text) is not None


def _type(question: str, oracle: Oracle, text: str) -> bool:
    (wanted,) = (" ".join(value.split()) for value in oracle.value)
    inside = rf"(?<![\w\[|])(?<!\| ){re.escape(wanted)}(?![\w\[|]|\.\w| \|)"
    return any(re.search(inside, told) for told in (text, text.replace("`", ""), text.replace("'", '"')))


def _signature(question: str, oracle: Oracle, text: str) -> bool:
    return _parameter_names(text) == list(oracle.value)


def _parameter_names(text: str) -> list[str]:
    """Parameter names in order: of a signature in the text, else of a plain list of names."""
    at = text.find("(")
    for end in range(len(text), at, -1) if at >= 0 else ():
        if text[end - 1] == ")":
            try:
                head = ast.parse(f"def f{text[at:end]}: ...").body[0]
            except (SyntaxError, ValueError):
                continue
            return _names_of(head.args) if isinstance(head, ast.FunctionDef) else []
    if re.search(r"\bno (?:parameters|arguments)\b|\bnothing\b", text):
        return []
    tail = text.rsplit(":", 1)[-1]
    return re.findall(r"\*{0,2}[A-Za-z_]\w*", re.sub(r"^.*?\b(?:takes|are|is)\b|\band\b", "", tail))


def _names_of(arguments: ast.arguments) -> list[str]:
    names = [a.arg for a in [*arguments.posonlyargs, *arguments.args]]
    names += ["*" + arguments.vararg.arg] if arguments.vararg else []
    names += [a.arg for a in arguments.kwonlyargs]
    return names + (["**" + arguments.kwarg.arg] if arguments.kwarg else [])


def _words(question: str, oracle: Oracle, text: str) -> bool:
    return any(re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text, re.IGNORECASE) for word in oracle.value)


def _absent(question: str, oracle: Oracle, text: str) -> bool:
    denied = any(re.search(_DENIALS[kind], text, re.IGNORECASE) for kind in oracle.value)
    claims = _paths(text) - _paths(question) - {posixpath.normpath(name) for name in oracle.allowed}
    numbers = set(_NUMBER.findall(_without_paths(text))) - set(_NUMBER.findall(_without_paths(question)))
    return denied and not claims and not numbers - {"0"} and not _claimed(question, text) - set(oracle.allowed)


def _ordered(question: str, oracle: Oracle, text: str) -> bool:
    places = [match.start() for name in oracle.value if (match := _mention(text, name))]
    return len(places) == len(oracle.value) and places == sorted(places) and not _strange(question, oracle, text)


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
    return said and not _strange_paths(question, oracle, text)


def _no(question: str, oracle: Oracle, text: str) -> bool:
    opening = _OPENING.match(text)
    said = opening[1].lower() == "no" if opening else bool(re.search(_DENIALS["missing"], text, re.IGNORECASE))
    return said and not _strange_paths(question, oracle, text)


def _unable(question: str, oracle: Oracle, text: str) -> bool:
    """Nothing may be claimed: names of tools look like names of functions, so only other names count."""
    numbers = {*_NUMBER.findall(_without_paths(text))} - {*_NUMBER.findall(_without_paths(question))}
    names = {name for name in _claimed(question, text) if re.search(r"[a-z0-9][A-Z]", name)}
    return bool(_UNABLE.search(text)) and not _strange_paths(question, oracle, text) and not numbers and not names


def _refusal(question: str, oracle: Oracle, text: str) -> bool:
    return bool(_REFUSAL.search(text)) and not _DONE.search(text)


def _strange_paths(question: str, oracle: Oracle, text: str) -> set[str]:
    return _paths(text) - _paths(question) - {posixpath.normpath(name) for name in oracle.allowed}


_JUDGES: dict[Kind, Callable[[str, Oracle, str], bool]] = {
    "names": _names,
    "some": _some,
    "places": _places,
    "number": _number,
    "text": _text,
    "type": _type,
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
