"""What may be learnt from: a conversation's traces to examples, with a reason for whatever is left out.

Pure checks in the order format, re-execution, grounding, oracle, judge. Knows nothing of SQL, tokens or how traces came
in; files are read below a snapshot that the caller names, and programs run in the confinement alone that it hands over.
"""

from distill.filters.confirmation import agreement
from distill.filters.reasons import REASONS, VERSION, Effect, Finding, Rules
from distill.filters.sifting import CHECKS, Explained, Explanation, Sifted, explain, learnt_runs, sift, unconfirmed
from distill.filters.told import Told

__all__ = [
    "CHECKS",
    "REASONS",
    "VERSION",
    "Effect",
    "Explained",
    "Explanation",
    "Finding",
    "Rules",
    "Sifted",
    "Told",
    "agreement",
    "explain",
    "learnt_runs",
    "sift",
    "unconfirmed",
]
