"""With what a conversation is answered: an adapter, rules, a way of scoring, and the arms of experiments that it is of.

Owns the record. Who decides it is told elsewhere; one is asked for at the beginning of each turn and holds to its end,
so that nothing which changes meanwhile changes an answer under way.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

from router.policy import Rules
from router.scorer import Rule, Scorer

if TYPE_CHECKING:
    from gateway.answering.prompting import Prompting


class Serving(msgspec.Struct, frozen=True):
    """`adapter` is the student's, "" for its base; `prompting` what the student is told besides. `arms` are those of
    experiments, by experiment, and `chance` how probable it was that the conversation would get these and no
    others; `usual` is how it would be answered without experiments, None: just so."""

    rules: Rules
    adapter: str = ""
    scorer: Scorer = Rule()
    prompting: Prompting | None = None
    arms: Mapping[str, str] = {}
    chance: float = 1.0
    usual: Serving | None = None
