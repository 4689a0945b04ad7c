"""Outcome: what is known of a trace afterwards. Owns the record; knows nothing of SQL, HTTP or how one is found."""

from __future__ import annotations

from typing import Literal

import msgspec

from distill.trace import Draft
from router.chat import AnswerMessage

Kind = Literal[
    "feedback",  # somebody said so: score, comment, or a better answer
    "tool_error",  # a call of this answer ended in an error
    "repaired",  # a call that failed was made again, otherwise
    "repeated",  # the very same call was made again
    "asked_again",  # the user put the question once more
    "abandoned",  # the conversation ended without an answer
    "judged",  # a judge, `client`, was asked, and found it good (1) or bad (-1), or said nothing clear
    "sample",  # the teacher was asked once more, and said this
    "draft",  # the student `client` was asked when nobody waited, and said this
]


class Outcome(msgspec.Struct, frozen=True, omit_defaults=True):
    """`at` is Unix seconds. `score` goes from -1 (bad) to 1 (good), None where nothing was said of that. `corrected` is
    the answer that should have been given, and `teach` whether whoever said so may teach. `sample` is what the teacher
    said when it was asked again, `draft` what a student would have said."""

    trace: str
    kind: Kind
    at: float
    score: float | None = None
    comment: str = ""
    corrected: AnswerMessage | None = None
    client: str = ""
    teach: bool = True
    sample: AnswerMessage | None = None
    draft: Draft | None = None
