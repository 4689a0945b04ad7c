"""Features of a draft: how sure the model was of each part, and whether what it says stands in the request.

Owns what is looked at once there is a draft. Knows nothing of thresholds or of who answers.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

import msgspec

from router.chat import ChatRequest, Choice, ToolCall
from router.features.tokens import parts
from router.groups import group_of

_UNSURE = -2.3  # a token below a tenth
_NOTHING = math.log(0.5)  # where a backend tells no probabilities, or there is no such part: neither sure nor unsure
_PLACEHOLDER = re.compile(r"example\.com|your[_-]|path/to|\bTODO\b|\bfoo\b|\bxxx\b|<[a-z_ ]+>", re.IGNORECASE)
_LONGEST = 400  # characters of a value that is looked for
_MOST_VALUES = 12
_WORD = re.compile(r"[A-Za-z_][\w.]{2,}")
_MOST_NAMES = 30

NAMES = (
    "is_call",
    "is_destructive",
    "calls",
    "tokens",
    "least",
    "mean",
    "tenth",
    "unsure",
    "first",
    "least_name",
    "least_value",
    "mean_value",
    "tenth_value",
    "values",
    "ungrounded",
    "grounded_share",
    "placeholder",
    "longest_run",
    "pre",
)


def draft_features(request: ChatRequest, texts: Sequence[str], choice: Choice, pre: float) -> tuple[float, ...]:
    """Numbers in the order of NAMES; `texts` are those of the request's messages, `pre` is what the gate before the
    draft said, as a log-odds."""
    calls = choice.message.tool_calls or ()
    tokens = choice.logprobs.content if choice.logprobs and choice.logprobs.content else []
    sure = [min(0.0, max(-30.0, token.logprob)) for token in tokens]
    part = parts(tokens, calls)
    values = [sure[at] for at in part.values]
    said = choice.message.content or ""
    named = _named(calls, said)
    shown = _shown(request, texts) if named else []
    found = sum(any(name in text for text in shown) for name in named)
    group = group_of(calls)
    return (
        float(bool(calls)),
        float(group == "destructive"),
        float(min(len(calls), 5)),
        math.log1p(len(tokens)),
        min(sure, default=_NOTHING),
        sum(sure) / len(sure) if sure else _NOTHING,
        _tenth(sure),
        float(sum(one < _UNSURE for one in sure)),
        sure[part.first] if sure else _NOTHING,
        min((sure[at] for at in part.names), default=_NOTHING if calls else 0.0),
        min(values, default=_NOTHING if calls and not named else 0.0),
        sum(values) / len(values) if values else 0.0,
        _tenth(values) if values else 0.0,
        float(len(named)),
        float(len(named) - found),
        found / len(named) if named else 1.0,
        float(any(_PLACEHOLDER.search(name) for name in named)),
        float(_longest_run([token.token for token in tokens])),
        pre,
    )


def _shown(request: ChatRequest, texts: Sequence[str]) -> list[str]:
    """What the request shows, the newest first: what a draft names stands in what was shown last, mostly."""
    shown = []
    for message, text in zip(reversed(request.messages), reversed(texts), strict=True):
        if message.tool_calls:
            shown += [call.function.arguments for call in message.tool_calls]
        if text:
            shown.append(text)
    return shown


def _named(calls: Sequence[ToolCall], said: str) -> list[str]:
    """What a draft names: the values of its calls, or the names in its words."""
    if not calls:
        return list(dict.fromkeys(name for name in _WORD.findall(said[:4000]) if _is_name(name)))[:_MOST_NAMES]
    found: list[str] = []
    for call in calls:
        try:
            told = msgspec.json.decode(call.function.arguments)
        except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
            continue
        found += _strings(told)
    return [value[:_LONGEST] for value in found if value.strip(" .*/")][:_MOST_VALUES]


def _is_name(word: str) -> bool:
    return "_" in word.strip("_") or "." in word.strip(".") or any(letter.isupper() for letter in word[1:])


def _strings(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for one in value.values() for text in _strings(one)]
    if isinstance(value, list):
        return [text for one in value for text in _strings(one)]
    return []


def _tenth(sure: Sequence[float]) -> float:
    """The value below which a tenth of them lie."""
    return sorted(sure)[len(sure) // 10] if sure else _NOTHING


def _longest_run(tokens: Sequence[str]) -> int:
    """How often the same token came in a row at most."""
    longest = run = 0
    before = None
    for token in tokens:
        run = run + 1 if token == before else 1
        longest, before = max(longest, run), token
    return longest
