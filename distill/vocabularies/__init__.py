"""Vocabularies: what several agents call their tools, over the exploring agent's own three."""

from distill.vocabularies.explore import EXPLORE
from distill.vocabularies.loading import Vocabularies, load_vocabularies
from distill.vocabularies.normal import normal
from distill.vocabularies.vocabulary import Vocabulary

__all__ = ["EXPLORE", "Vocabularies", "Vocabulary", "load_vocabularies", "normal"]
