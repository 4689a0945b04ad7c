"""Features of a request, before anything is generated: numbers with names, words, and keys of what was seen before.

Owns what is looked at. Nothing here needs a model.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from itertools import pairwise
from zlib import crc32

import msgspec

from router.chat import ChatRequest, this_turn
from router.decision import STUDENT_CALL
from router.features.memory import Memory
from router.features.pattern import alike, pattern

WORDS = 4096  # places that words are hashed to
_WORD = re.compile(r"[a-z]{2,}|\d+|[^\w\s]", re.IGNORECASE)
_MOST_WORDS = 120
_LATELY = 5  # results
_ERRORS = ("error", "exception", "traceback", "invalid", "not found", "no such", "denied", "failed", "cannot")
_HEAD = 2000  # characters
_CODE = re.compile(r"[{}()\[\];=<>_/\\|]")

NAMES = (
    "characters",
    "turns",
    "questions",
    "in_loop",
    "steps",
    "tools",
    "tool_characters",
    "most_required",
    "nested",
    "destructive_tools",
    "forced",
    "format",
    "result_characters",
    "result_error",
    "errors_lately",
    "repeated_call",
    "question_characters",
    "question_marks",
    "code_share",
    "digit_share",
    "foreign_share",
    "asked_again",
    "teacher_steps",
    "student_steps",
    "temperature",
)


class Features(msgspec.Struct, frozen=True):
    """`numbers` in the order of NAMES; `words` are places 0..WORDS-1 with signs (place + 1, negative for a minus);
    `keys` name patterns whose record a gate may know."""

    numbers: tuple[float, ...]
    words: tuple[int, ...]
    keys: tuple[str, ...]


def texts_of(request: ChatRequest) -> list[str]:
    """The text of each message."""
    return [message.text for message in request.messages]


def features(request: ChatRequest, texts: Sequence[str], memory: Memory) -> Features:
    """What a gate looks at before a draft."""
    messages = request.messages
    offer = memory.offer(request.tools)
    asked = [at for at, message in enumerate(messages) if message.role == "user"]
    question = texts[asked[-1]] if asked else ""
    before = texts[asked[-2]] if len(asked) > 1 else ""
    turn = this_turn(messages)
    calls = [call for message in turn for call in message.tool_calls or ()]
    own = sum(call.id.startswith(STUDENT_CALL) for call in calls)
    results = [at for at, message in enumerate(messages) if message.role == "tool"][-_LATELY:]
    steps = sum(message.role == "assistant" for message in turn)
    in_loop = messages[-1].role == "tool"
    errors = [_tells_error(texts[at]) for at in results]
    meant = [memory.meaning(call) for call in calls]
    shown = question[:4000]
    numbers = (
        math.log1p(sum(map(len, texts))),
        math.log1p(sum(message.role == "assistant" for message in messages)),
        math.log1p(len(asked)),
        float(in_loop),
        float(min(steps, 20)),
        math.log1p(offer.count),
        math.log1p(offer.characters),
        float(offer.most_required),
        float(offer.nested),
        float(offer.destructive),
        float(request.tool_choice not in (None, "auto", "none")),
        float((request.response_format or {}).get("type", "text") != "text"),
        math.log1p(len(texts[-1])) if in_loop else 0.0,
        float(in_loop and errors[-1]),
        float(sum(errors)),
        float(len({*meant}) < len(meant)),
        math.log1p(len(question)),
        float(min(question.count("?"), 5)),
        _share(len(_CODE.findall(shown)), shown),
        _share(sum(map(str.isdigit, shown)), shown),
        0.0 if shown.isascii() else _share(sum(letter > "\x7f" for letter in shown), shown),
        alike(question, before) if before else 0.0,
        float(min(len(calls) - own, 10)),
        float(min(own, 10)),
        request.temperature if request.temperature is not None else 1.0,
    )
    tool = calls[-1].function.name if in_loop and calls else ""
    kind = pattern(question)
    keys = (f"pattern:{kind}:{min(steps, 9)}", f"question:{kind}", f"tools:{crc32(offer.key.encode()):08x}:{tool}")
    return Features(numbers, _words(shown, tool), keys)


def _tells_error(result: str) -> bool:
    """Whether a tool's result tells of an error at its beginning: long ones quote code that speaks of errors."""
    head = result[:_HEAD].lower()
    return any(word in head for word in _ERRORS)


def _share(count: int, text: str) -> float:
    return count / len(text) if text else 0.0


def _words(text: str, tool: str) -> tuple[int, ...]:
    """Single words and pairs of the question, and the tool whose result came last, hashed to places with a sign
    (Weinberger et al., Feature hashing for large scale multitask learning, 2009)."""
    words = [word.lower() for word in _WORD.findall(text)[:_MOST_WORDS]]
    told = [*words, *(f"{one} {other}" for one, other in pairwise(words)), f"tool:{tool}"]
    places = set()
    for word in told:
        number = crc32(word.encode(errors="replace"))
        place = number % WORDS + 1
        places.add(place if number & 0x80000000 else -place)
    return tuple(sorted(places))
