"""Confidence from token log-probabilities. Pure arithmetic on a draft; knows nothing of thresholds or policy."""

from __future__ import annotations

import math
from collections.abc import Sequence

from router.chat import Choice, TokenLogprob, ToolCall

BROKEN_OFF = "doubtful"  # finish reason of a call that showed a token less probable than any call may show


def scores(choice: Choice) -> dict[str, float]:
    """Probabilities in 0..1 of a draft; empty when the backend gave no log-probabilities.

    `mean` is the geometric mean and `min` the least probability over all tokens. `confidence` is what a threshold
    is set on: of a tool call the least probability from the function's name to the end of its arguments, since one
    wrong token there makes the call wrong, and of a call that was broken off the least so far; of a text the geometric
    mean, since wording may vary.
    """
    tokens = choice.logprobs.content if choice.logprobs and choice.logprobs.content else []
    if not tokens:
        return {}
    mean = math.exp(min(0.0, sum(token.logprob for token in tokens) / len(tokens)))
    least = _least(tokens)
    if choice.finish_reason == BROKEN_OFF:
        return {"confidence": least, "mean": mean, "min": least}
    calls = choice.message.tool_calls
    return {"confidence": _least(_of_calls(tokens, calls)) if calls else mean, "mean": mean, "min": least}


def _least(tokens: Sequence[TokenLogprob]) -> float:
    return math.exp(min(0.0, min(token.logprob for token in tokens)))


def _of_calls(tokens: Sequence[TokenLogprob], calls: Sequence[ToolCall]) -> Sequence[TokenLogprob]:
    """The tokens from the first function's name to the last closing brace; all when they cannot be found."""
    text = "".join(token.token for token in tokens)
    start = text.find(calls[0].function.name)
    end = text.rfind("}")
    if start < 0 or end < start:
        return tokens
    chosen, at = [], 0
    for token in tokens:
        if at + len(token.token) > start and at <= end:
            chosen.append(token)
        at += len(token.token)
    return chosen or tokens
