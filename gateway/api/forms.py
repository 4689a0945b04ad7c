"""Which form an error has, by the path that was asked for.

Owns that choice alone, for errors that come before a wire is at work: a closed door, a path that is not there.
"""

from __future__ import annotations

from gateway.api.messages.errors import anthropic_form
from gateway.api.replies import ErrorForm, openai_form


def form_of(path: str) -> ErrorForm:
    """Anthropic's form for the Messages API and what is below it, else OpenAI's."""
    return anthropic_form if f"{path}/".startswith("/v1/messages/") else openai_form
