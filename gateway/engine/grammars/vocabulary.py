"""A model's tokens as grammars refer to them. Knows nothing of requests or of what a grammar says."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from llguidance import LLTokenizer


@dataclass(frozen=True)
class Vocabulary:
    """`plain` ones are tokens of their own, as control tokens are, but may stand in any text.

    `thoughts` are the marks around the thoughts of a model that thinks before it answers.
    """

    tokenizer: LLTokenizer
    plain: Sequence[int] = ()
    thoughts: tuple[str, str] | None = None

    def tag(self, text: str) -> str:
        """A tag as a rule refers to it: by its token where there is one for it, else as text."""
        ids = self.tokenizer.tokenize_str(text, parse_special=True)
        if len(ids) == 1 and self.tokenizer.is_special_token(ids[0]):
            return f"<[{ids[0]}]>"
        return json.dumps(text)
