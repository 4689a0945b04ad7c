"""Writes grammars in llguidance's Lark: which calls, which text, which JSON.

How a family writes its calls is `forms`' business. Knows nothing of requests or of how a grammar is run.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gateway.engine.grammars.forms import CallForm, Schemas
from gateway.engine.grammars.vocabulary import Vocabulary

_TEXT = "/(?s:.*)/"


@dataclass(frozen=True)
class Calls:
    """Calls that may be made: each tool's name with the schema of its arguments.

    Unless one is `required`, the answer may be text as well, and `several` of them may follow each other.
    """

    tools: Sequence[tuple[str, dict[str, Any]]]
    form: CallForm
    required: bool
    several: bool


def write(vocabulary: Vocabulary, calls: Calls | None, final: dict[str, Any] | None, *, thinking: bool = False) -> str:
    """The grammar of an answer that consists of calls, of text, or of JSON that fits the schema `final`.

    `thinking`: the prompt has opened the model's thoughts already.
    """
    parts = {"final": final} if final is not None else {}
    rules: list[str] = []
    if calls is not None:
        called, named = _call(vocabulary, calls)
        rules += called
        parts |= named
    if calls is not None and not calls.required and final is None:
        rules += _beside_text(vocabulary, calls)
    else:
        rules += [_answer(calls, with_final=final is not None), *_thoughts(vocabulary, thinking=thinking)]
    schemas = [{"name": name, "json_schema": schema} for name, schema in parts.items()]
    return json.dumps({"grammars": [{"lark_grammar": "\n".join(rules)}, *schemas]})


def _answer(calls: Calls | None, *, with_final: bool) -> str:
    """An answer of calls or JSON alone."""
    only_calls = [] if calls is None else [f"call ({_between(calls)} call)*" if calls.several else "call"]
    final = ["@final"] if with_final and not (calls and calls.required) else []
    return f"answer: {' | '.join(final + only_calls)}"


def _between(calls: Calls) -> str:
    return json.dumps(calls.form.between) if calls.form.between else ""


def _thoughts(vocabulary: Vocabulary, *, thinking: bool) -> list[str]:
    """`start`: the answer, after a thought if the model has any."""
    if vocabulary.thoughts is None:
        return ["start: answer"]
    opening, closing = (vocabulary.tag(mark) for mark in vocabulary.thoughts)
    start = "start: rest answer" if thinking else f"start: ({opening} rest)? answer"
    ended = f"ended: WORDS {closing}" if closing.startswith("<") else f"ended[lazy]: WORDS {closing}"
    return [start, "rest: ended /\\n{0,2}/", ended, f"WORDS: {_TEXT}"]


def _call(vocabulary: Vocabulary, calls: Calls) -> tuple[list[str], Schemas]:
    """`call`, and `body`: what follows its opening; the schemas that they refer to."""
    form = calls.form
    alternatives = " | ".join(f"call{i}" for i in range(len(calls.tools)))
    closing = vocabulary.tag(form.closing) if form.closing else ""
    rules = [f"call: {vocabulary.tag(form.opening)} body", f"body: ({alternatives}) {closing}"]
    schemas: Schemas = {}
    for i, (name, schema) in enumerate(calls.tools):
        more, named = form.body(vocabulary, i, name, schema)
        rules += more
        schemas |= named
    return rules, schemas


def _beside_text(vocabulary: Vocabulary, calls: Calls) -> list[str]:
    """An answer of free text and calls.

    Where a call's opening is a token of its own, text may not spell it letter by letter: that would read the same.
    Where it is not, text ends as soon as it has spelt it.
    """
    start = "start: spoken* text" if calls.several else "start: text | spoken"
    text = "text: TEXT" + (f" (<[{','.join(map(str, vocabulary.plain))}]> TEXT)*" if vocabulary.plain else "")
    tag = vocabulary.tag(calls.form.opening)
    if tag.startswith("<"):
        spelt = re.escape(calls.form.opening).replace("/", r"\/")
        return [start, text, "spoken: text call", f"TEXT: {_TEXT} & ~/(?s:.*){spelt}(?s:.*)/"]
    return [start, text, "spoken: opened body", f"opened[lazy]: TEXT {tag}", f"TEXT: {_TEXT}"]
