"""What a trace holds that encodes its texts: token ids, log-probabilities, raw text. Owns what each of them encodes and
what is left of it; knows nothing of how secrets are found.
"""

from __future__ import annotations

import hashlib
import struct
from typing import Any

import msgspec

from distill.trace import Served, Trace
from router.chat import EngineNote, TokenLogprob


def ids_digest(served: Served) -> str:
    """The SHA-256, in hex, of token ids as little-endian int32: the prompt's, how many these are, the completion's."""
    digest = hashlib.sha256()
    for ids in (served.prompt, [len(served.prompt)], served.completion):
        digest.update(struct.pack(f"<{len(ids)}I", *(one & 0xFFFFFFFF for one in ids)))
    return digest.hexdigest()


def without_raw(note: EngineNote) -> EngineNote:
    return msgspec.structs.replace(note, raw="")


def served_text(trace: Trace) -> tuple[Any, ...]:
    """What served token ids encode."""
    draft = trace.draft
    said = (draft.message, draft.note, draft.logprobs is None) if draft else ()
    return (trace.request.messages, trace.request.tools, trace.answer, trace.note, *said)


def tokens_text(logprobs: list[TokenLogprob]) -> str:
    """The text of the tokens, and below it, a line each, those that were not taken."""
    others = (str(other.get("token", "")) for token in logprobs for other in token.top_logprobs)
    return "\n".join(["".join(token.token for token in logprobs), *others])
