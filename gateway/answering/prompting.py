"""Prompting: what a teacher is told besides what the agent sent, so that a weak one knows how to use the tools.

Owns where it stands in a request: after the agent's own system prompt, with the examples put in the terms of the tools
that are offered. The trace keeps what the agent sent, so that the student learns to do without. Knows nothing of
backends.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

import msgspec

from distill.prompts import Prompt
from distill.vocabularies import Vocabularies, Vocabulary
from router.chat import ChatRequest

_SYSTEM = ("system", "developer")


class Prompting:
    """One prompt over the vocabularies that its examples can be put in."""

    def __init__(self, prompt: Prompt, vocabularies: Iterable[Vocabulary]) -> None:
        self._prompt = prompt
        self._vocabularies = Vocabularies(vocabularies)
        self.digest = hashlib.sha256(msgspec.json.encode(prompt)).hexdigest()[:16]

    def messages(self, request: ChatRequest, sent: list[Any]) -> list[Any]:
        """The messages of a request as they were `sent`, with the prompt's own among them."""
        shown = self._prompt.messages(self._vocabularies.of(request.tools), request.tools or [])
        told = self._prompt.system.strip()
        first = sent[0] if sent and isinstance(sent[0], dict) and sent[0].get("role") in _SYSTEM else None
        begin = {"role": "system", "content": told} if first is None else {**first, "content": _added(first, told)}
        return [begin, *msgspec.to_builtins(shown), *sent[first is not None :]]


def _added(system: dict[str, Any], told: str) -> Any:
    """The content of a system message, which is a text or a list of parts, with more text behind it."""
    content = system.get("content")
    if isinstance(content, list):
        return [*content, {"type": "text", "text": told}]
    return f"{content}\n\n{told}" if content else told
