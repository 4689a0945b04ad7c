"""Labels: drafts of a student with what was found of them, as gates learn from them and certificates are earned with.

Owns what a label says, and which conversations teach and which calibrate. Knows nothing of how drafts were come by.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from distill.routing.comparing import How
from distill.trace import Draft
from router.chat import ChatRequest, Choice, ChoiceLogprobs
from router.lot import lot

Set = Literal["train", "calibrate"]


class Label(msgspec.Struct, frozen=True, omit_defaults=True):
    """One request with a student's draft, and whether that was `worse` than the teacher's answer. `seconds` are those
    of the teacher's answer, 0 where they are not known; `teacher` is the model that gave it, ""
    where a student answered and it was asked later, `created` when the request came (Unix seconds). `teachers` counts
    the teacher's answers, `split` says whether these disagree."""

    trace: str
    conversation: str
    request: ChatRequest
    draft: Draft
    worse: bool
    how: How
    seconds: float = 0.0
    teacher: str = ""
    created: float = 0.0
    teachers: int = 1
    split: bool = False

    @property
    def tokens(self) -> int:
        """What the draft took, as far as its backend told."""
        return len(self.draft.logprobs or ())

    @property
    def choice(self) -> Choice:
        """The draft as a gate is shown it."""
        said = ChoiceLogprobs(self.draft.logprobs) if self.draft.logprobs else None
        return Choice(self.draft.message, self.draft.finish_reason, logprobs=said)


def set_of(conversation: str) -> Set:
    """Whether a conversation teaches gates or calibrates them: never both, and always the same."""
    return "train" if lot("part", "router", conversation) < 0.5 else "calibrate"
