"""Facts: what is true of a repository's code, out of the source alone; what right answers are made from."""

from distill.facts.collecting import Limits, collect
from distill.facts.records import (
    ClassFact,
    ConstantFact,
    Declaration,
    Facts,
    FileFact,
    FunctionFact,
    ImportFact,
    Passed,
    Place,
)
from distill.facts.usages import usages

__all__ = [
    "ClassFact",
    "ConstantFact",
    "Declaration",
    "Facts",
    "FileFact",
    "FunctionFact",
    "ImportFact",
    "Limits",
    "Passed",
    "Place",
    "collect",
    "usages",
]
