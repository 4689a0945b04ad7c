"""Arms of the learning curve: which conversations, and what recipe."""

from __future__ import annotations

from typing import Any, NamedTuple

# The demo's, but for batches of 16: whatever fits into them, the tools are run once.
_WARM = {"layers": 0, "learning_rate": 2e-3, "epochs": 1.0, "max_tokens": 500, "patience": 0}


# What all are looked at with; and the same by a teacher who says what it does.
UNSEEN, UNSEEN_THOUGHTS = "unseen.jsonl", "unseen-thoughts.jsonl"


class Arm(NamedTuple):
    """`data` names a dataset; `teacher` is the arm, of seed 0, whose adapter's probabilities are learnt."""

    data: str
    recipe: dict[str, Any]
    preset: str = "default"
    teacher: str = ""
    unseen: str = UNSEEN


def _warm(**changes: Any) -> dict[str, Any]:
    return {**_WARM, **changes}


_OWN = {"max_tokens": 500}

ARMS = {
    "250": Arm("250", _warm(epochs=2.0)),
    "500": Arm("500", _warm()),
    "1000": Arm("1000", _warm()),
    "4000": Arm("4000", _warm()),
    "1000-default": Arm("1000", {**_OWN, "epochs": 1.0}),
    "1000-plan": Arm("1000", _OWN, "plan"),
    "1000-thoughts": Arm(
        "1000-thoughts", _warm(max_tokens=800, thoughts="keep"), unseen=UNSEEN_THOUGHTS
    ),  # as many fit as without
    "250-soft": Arm("250", _warm(epochs=2.0, soft=0.5), teacher="1000"),
    "1000-spoilt": Arm("1000-spoilt", _warm()),
    "1000-filtered": Arm("1000-filtered", _warm()),
    "1000-filtered-twice": Arm("1000-filtered", _warm(epochs=2.0)),
}
