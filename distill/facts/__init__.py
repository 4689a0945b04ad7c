"""Facts: what is true of a repository's code, out of the source alone; what right answers are made from."""

from distill.facts.collecting import ClassFact, ConstantFact, Facts, FileFact, FunctionFact, ImportFact, collect

__all__ = ["ClassFact", "ConstantFact", "Facts", "FileFact", "FunctionFact", "ImportFact", "collect"]
