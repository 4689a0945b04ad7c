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
_WAITS = "unconfirmed"
_DECLINES = re.compile(
    r"\W*(sorry,|i ?['’]?a?m (very |so )?sorry|i apologi[sz]e|as an ai\b"
    r"|i (can['’]?t|cannot|won['’]?t|will not)\b|i ?['’]?a?m (unable|not able) to\b)",
    re.IGNORECASE,
)


class Look(msgspec.Struct):
    """Of so many conversations that may be learnt from, in how many the last answer declines, and all was said
    before."""

    conversations: int = 0
    declined: int = 0
    repeated: int = 0


class Came(msgspec.Struct):
    """Of so many `conversations`, whoever answered them, how many call no tool; and of those that the filters `judged`
    by their answers, in how many these are bad."""

    conversations: int = 0
    without_calls: int = 0
    judged: int = 0
    failed: int = 0

    def add(self, passed: int, dropped: Collection[str], calls: bool) -> None:
        """Count a conversation with or without calls, of which so many examples passed the filters, and others did not
        for these reasons. One that only waits for somebody who confirms it is not bad; one that is left out for what
        the answers are not to blame for says nothing of them."""
        failed = not passed and not _BAD.isdisjoint(dropped)
        self.conversations += 1
        self.without_calls += not calls
        self.judged += failed or passed > 0 or set(dropped) == {_WAITS}
        self.failed += failed


def look(examples: Iterable[Example]) -> Look:
    found, seen = Look(), set[int]()
    for example in examples:
        said = [message for message in example.messages if message.role == "assistant"]
        key = short_digest(msgspec.json.encode([(message.role, message.text) for message in example.messages]))
        found.conversations += 1
        found.declined += bool(said and _DECLINES.match(said[-1].text))
        found.repeated += key in seen
        seen.add(key)
    return found


def jump(before: Look, now: Look) -> str:
    """What of what may be learnt is unlike before, in words; "" where nothing surely is."""
    old, new = before.conversations, now.conversations
    told = [
        _moved((before.declined, old), (now.declined, new), "end with an answer that declines"),
        _moved((before.repeated, old), (now.repeated, new), "are there twice"),
    ]
    return "; ".join(filter(None, told))


def unlike(before: Came, now: Came, vouched: Came) -> str:
    """What of all that came is unlike what was there, in words; "" where nothing surely is, or where it is like what
    somebody `vouched` for: whoever changed what his agents do, says so once.

    Calls are counted whoever answered: once a student answers what needs a tool, the teacher is asked the rest."""
    told = _came(before, now)
    settled = min(vouched.conversations, vouched.judged) >= LEAST and not _came(vouched, now)
    return "" if settled else told


def _came(before: Came, now: Came) -> str:
    calls = (before.without_calls, before.conversations), (now.without_calls, now.conversations)
    told = [
        _moved((before.failed, before.judged), (now.failed, now.judged), "have bad answers in them"),
        _moved(*calls, "call no tool", falls=True),
    ]
    return "; ".join(filter(None, told))


def _moved(before: tuple[int, int], now: tuple[int, int], words: str, *, falls: bool = False) -> str:
    """Counts with what they are of. `falls`: a share that becomes smaller is a jump, too."""
    if min(before[1], now[1]) < LEAST:
        return ""
    was, share = before[0] / before[1], now[0] / now[1]
    low, high = wilson(*now, _CONFIDENCE)
    lowest, highest = wilson(*before, _CONFIDENCE)
    apart = low > highest or (falls and high < lowest)
    if not apart or abs(share - was) <= _JUMP:
        return ""
    return f"{share:.0%} of the {now[1]} conversations that came {words}, {was:.0%} of those before"
