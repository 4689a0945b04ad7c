"""Failures: why an arm's question went wrong, told from what it called and said, and which examples would help.

Pure. Owns the causes and how they are told apart; a question has one cause, the first that applies. It sees what a
conversation did, never a repository.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import Any

import msgspec

from distill.examination.answers import Answered
from distill.examination.figures import succeeded
from distill.examination.items import Item
from distill.examination.marking import Mark, call_of
from distill.generate.oracle import exact_calls
from distill.generate.question import Question
from distill.generate.said import declines
from distill.generate.templates import Call
from distill.vocabularies import EXPLORE

CAUSES: dict[str, str] = {
    "endpoint error": "the endpoint failed to answer",
    "loop": "it repeated a call, or made too many",
    "malformed call": "it wrote a call as text, which nothing could run",
    "refused": "it said that it cannot do this",
    "no call": "it called no tool where one was needed",
    "cut": "it was cut off at the limit of tokens",
    "needless call": "it called a tool where none was needed",
    "wrong tool": "it called another tool than the one that was needed, or one that is not there",
    "wrong arguments": "it called the right tool with other arguments",
    "unfinished": "its calls were right, and too few",
    "said nothing": "it ended without a word",
    "wrong answer": "its calls showed what was needed, and its answer was not right",
}
HELP: dict[str, str] = {
    "malformed call": "questions of these kinds with calls in the student's own call format",
    "refused": "questions of these kinds that are answered by a call",
    "no call": "questions of these kinds that are answered by a call",
    "needless call": "questions without a tool, beside their counterparts that need one",
    "wrong tool": "questions of these kinds in several tool vocabularies",
    "wrong arguments": "questions of these kinds with other names, paths and patterns",
    "unfinished": "questions of these kinds, with every step to the end",
    "loop": "questions of these kinds that end after the result, also where nothing was found",
    "said nothing": "questions of these kinds with their final answers",
    "wrong answer": "questions of these kinds with results of other lengths and forms",
    "cut": "short answers; or a higher limit of tokens",
    "endpoint error": "nothing to be learnt: look after the endpoint",
}
_LOOKED_AT = 4000  # characters of an answer
_CLOSE = 0.75  # from this similarity on an argument is a copy with a mistake
_TAGS = ("<tool_call", "<tools>", "<function", "[TOOL_CALLS]", "<|python_tag|>", "<|tool_call", "<｜tool")
_KEY = re.compile(r"""["'](?:arguments|parameters|args|command|path)["']\s{0,4}:""")


class Failure(msgspec.Struct, frozen=True):
    """One question that an arm did not answer with success. `detail` says more where more is known: which argument."""

    template: str
    category: str
    vocabulary: str
    cause: str
    question: str
    detail: str = ""
    id: str = ""
    repository: str = ""


def failure(item: Item, one: Answered) -> Failure | None:
    """None where the question was answered right, with a tool where one is needed and none where none is."""
    if succeeded(one.mark):
        return None
    question = item.question
    cause, detail = _cause(item, one)
    return Failure(
        template=question.template,
        category=question.category,
        vocabulary=question.vocabulary,
        cause=cause,
        question=question.text,
        detail=detail,
        id=question.id,
        repository=question.repository,
    )


def counted(failures: Sequence[Failure]) -> dict[str, int]:
    """How many of each cause, the most frequent first."""
    return dict(Counter(one.cause for one in failures).most_common())


def wanted(failures: Sequence[Failure]) -> dict[str, dict[str, int]]:
    """For each cause the kinds of questions (templates) that it hit, the most frequent first."""
    return {
        cause: dict(Counter(one.template for one in failures if one.cause == cause).most_common())
        for cause in counted(failures)
    }


def looks_like_a_call(text: str) -> bool:
    """Whether a text holds what a model writes when it means to call a tool."""
    seen = text[:_LOOKED_AT]
    if any(tag in seen for tag in _TAGS):
        return True
    return "{" in seen and _KEY.search(seen) is not None


def _cause(item: Item, one: Answered) -> tuple[str, str]:
    made = one.mark
    if made.end == "error":
        return "endpoint error", one.error
    if made.end == "repeated":
        return "loop", "the same call again"
    if made.end == "too_many_calls":
        return "loop", "too many calls"
    if not one.calls:
        return _by_words(made, one.answer[:_LOOKED_AT])
    if not made.needed:
        return "needless call", ""
    return ("cut", "") if made.end == "cut" else _by_calls(item, one)


def _by_words(made: Mark, said: str) -> tuple[str, str]:
    """Where nothing was called. What was cut off while it should have called has begun to answer out of its head."""
    cut = "cut off" if made.end == "cut" else ""
    if looks_like_a_call(said):
        return "malformed call", cut
    if declines(said):
        return "refused", cut
    if made.needed:
        return "no call", cut
    if cut:
        return "cut", ""
    return ("said nothing" if made.end == "empty" else "wrong answer"), ""


def _by_calls(item: Item, one: Answered) -> tuple[str, str]:
    """The first call that is not the planned one decides."""
    said = "said nothing" if one.mark.end == "empty" else "wrong answer"
    if one.mark.covering:
        return said, ""
    plan = item.question.plan
    for at, expected in enumerate(plan):
        if at >= len(one.calls):
            return "unfinished", f"{at} of {len(plan)} calls"
        made = call_of(one.calls[at])
        meant = (item.toolbox.vocabulary or EXPLORE).meant(made) or made
        if made.name not in {spec.function.name for spec in item.toolbox.specs}:
            return "wrong tool", f"{made.name[:60]}, which is not there"
        if not isinstance(made.arguments.get("", {}), dict):
            return "wrong arguments", "no JSON object"
        if meant is made and item.toolbox.vocabulary is not None:
            return "wrong arguments", "such as the tool does not take"
        if meant.name != expected.name:
            return "wrong tool", f"{meant.name} instead of {expected.name}"
        if not _same(item.question, meant, expected):
            return "wrong arguments", _differing(meant, expected)
    return said, ""


def _same(question: Question, call: Call, expected: Call) -> bool:
    return exact_calls(msgspec.structs.replace(question, plan=[expected]), [call])


def _differing(call: Call, expected: Call) -> str:
    """Which argument differs, and whether it looks like a copy with a mistake."""
    for key, right in expected.arguments.items():
        given = call.arguments.get(key)
        if given == right:
            continue
        if key == "args" and isinstance(right, list):
            return _words(given, [str(word) for word in right], str(expected.arguments.get("command")))
        return f"{key}{_copied(given, right)}"
    return "an argument too many"


def _words(given: Any, right: list[str], program: str) -> str:
    """Which words of a command differ: its options, its pattern or its paths."""
    if not isinstance(given, list):
        return "args that are no list"
    mine = [str(word) for word in given]
    options = [word for word in right if word.startswith("-")], [word for word in mine if word.startswith("-")]
    operands = [word for word in right if word not in options[0]], [word for word in mine if word not in options[1]]
    if program == "grep" and operands[0] and operands[0][:1] != operands[1][:1]:
        return f"pattern{_copied(operands[1][0] if operands[1] else '', operands[0][0])}"
    if operands[0] != operands[1]:
        return f"path{_copied(' '.join(operands[1]), ' '.join(operands[0]))}"
    return "options"


def _copied(given: Any, right: Any) -> str:
    one, two = str(given)[:200], str(right)[:200]
    return ", copied with a mistake" if one and SequenceMatcher(None, one, two).ratio() >= _CLOSE else ""
