"""Suspecting: is what came unlike all that came before? Owns what is looked at and the limits; pure.

A teacher that begins to refuse, an agent whose tools are gone, or one answer a thousand times over passes every check
of single conversations, and shows in all of them together.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

import msgspec

from distill.dataset import Example
from distill.dataset.example import short_digest
from distill.statistics import wilson

_BAD = frozenset(  # reasons that speak against an answer
    ("ungrounded", "unproven_absence", "not_looked_at", "wrong_answer", "needless_call", "judged_bad", "bad_feedback")
)
LEAST = 30  # conversations on either side: with fewer there is nothing that could be unlike
_JUMP = 0.3  # of all conversations, that a share has to move by besides being surely another one
_CONFIDENCE = 0.999
_DECLINES = re.compile(
    r"\W*(sorry,|i ?['’]?a?m (very |so )?sorry|i apologi[sz]e|as an ai\b"
    r"|i (can['’]?t|cannot|won['’]?t|will not)\b|i ?['’]?a?m (unable|not able) to\b)",
    re.IGNORECASE,
)


class Look(msgspec.Struct):
    """Of so many conversations, in how many the last answer declines, none calls a tool, and all was said before; and
    how many are not to be learnt from since the answers in them are bad."""

    conversations: int = 0
    declined: int = 0
    without_calls: int = 0
    repeated: int = 0
    failed: int = 0

    def sifted(self, passed: int, dropped: Collection[str]) -> None:
        """Count a conversation of which so many examples passed the filters, and others did not for these reasons; one
        that is left out for what the answers are not to blame for does not count."""
        failed = not passed and not _BAD.isdisjoint(dropped)
        self.conversations += failed or passed > 0
        self.failed += failed


def look(examples: Iterable[Example]) -> Look:
    found, seen = Look(), set[int]()
    for example in examples:
        said = [message for message in example.messages if message.role == "assistant"]
        key = short_digest(msgspec.json.encode([(message.role, message.text) for message in example.messages]))
        found.conversations += 1
        found.declined += bool(said and _DECLINES.match(said[-1].text))
        found.without_calls += not any(message.tool_calls for message in said)
        found.repeated += key in seen
        seen.add(key)
    return found


def jump(before: Look, now: Look) -> str:
    """What of it is unlike before, in words; "" where nothing surely is."""
    if min(before.conversations, now.conversations) < LEAST:
        return ""
    told = [
        _moved(before, now, "declined", "end with an answer that declines", falls=False),
        _moved(before, now, "without_calls", "call no tool", falls=True),
        _moved(before, now, "repeated", "are there twice", falls=False),
    ]
    return "; ".join(filter(None, told))


def failing(before: Look, now: Look) -> str:
    """Whether far more of what came fails the filters than of what was there, in words; "" where not."""
    if min(before.conversations, now.conversations) < LEAST:
        return ""
    return _moved(before, now, "failed", "have bad answers in them", falls=False)


def _moved(before: Look, now: Look, name: str, words: str, *, falls: bool) -> str:
    """`falls`: a share that becomes smaller is a jump, too."""
    old, new = getattr(before, name), getattr(now, name)
    was, share = old / before.conversations, new / now.conversations
    low, high = wilson(new, now.conversations, _CONFIDENCE)
    lowest, highest = wilson(old, before.conversations, _CONFIDENCE)
    apart = low > highest or (falls and high < lowest)
    if not apart or abs(share - was) <= _JUMP:
        return ""
    return f"{share:.0%} of the {now.conversations} conversations that came {words}, {was:.0%} of those before"
