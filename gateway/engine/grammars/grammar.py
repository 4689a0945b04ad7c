"""What of a request the model is made to keep to, while it writes: tool calls and JSON, by llguidance.

Owns how `tool_choice`, `parallel_tool_calls`, strict tools and `response_format` are read, and which tokens may come
next. Knows nothing of sampling; how a grammar is written is lark's business, what becomes of schemas that of schemas.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from llguidance import LLMatcher, LLParserLimits, LLTokenizer
from numpy.typing import NDArray

from gateway.engine.errors import GrammarRefused, NotSupported
from gateway.engine.grammars import schemas
from gateway.engine.grammars.forms import CALL_FORMS, CallForm
from gateway.engine.grammars.lark import Calls, write
from gateway.engine.grammars.vocabulary import Vocabulary
from router.chat import ChatRequest, InvalidRequest, Tool

# A state of the lexer takes 1 to 2 kB, and a hostile pattern makes new ones with every token. An object of as many
# optional properties as a schema may have takes 10 000 items, half a millisecond.
_LIMITS = LLParserLimits(max_lexer_states=50_000, max_items_in_row=20_000, verbose_errors=False)
_MAX_BYTES = 512 * 1024  # of JSON: twenty agents' worth of tools
_FORMAT = "response_format.json_schema.schema"


class Guide:
    """A grammar at work on one answer: a Constraint of `inference.job`. May be used by one thread after another."""

    def __init__(self, matcher: LLMatcher) -> None:
        self._matcher = matcher

    def mask(self) -> NDArray[np.int32]:
        """A bit for each token that may come next, 32 to a word, lowest first; when all is said, the ends of a turn.

        So too after a failure: the batch goes on, and `failure` says what the answer lacks.
        """
        return np.frombuffer(self._matcher.compute_bitmask(), np.int32)

    def accept(self, token: int) -> None:
        self._matcher.consume_token(token)

    @property
    def complete(self) -> bool:
        """Whether what has been said is a whole answer."""
        return bool(self._matcher.is_accepting())

    @property
    def failure(self) -> str | None:
        """Why the grammar was given up, in one line: a token it forbids, or more work per token than its limits."""
        return _one_line(self._matcher.get_error()) if self._matcher.is_error() else None

    def copy(self) -> Guide:
        """Another one in the same state."""
        return Guide(self._matcher.deep_copy())

    def allows(self, tokens: Sequence[int]) -> int:
        """How many of these tokens, from the first on, may come next one after the other."""
        return int(self._matcher.validate_tokens(list(tokens)))

    def forced(self) -> list[int]:
        """Tokens that spell what must come next; empty where there is a choice."""
        return list(self._matcher.compute_ff_tokens())


class Grammars:
    """Makes the grammars of one model. Safe to use from several threads, and too slow for an event loop's.

    `width` is that of the model's logits, `form` names that of its calls (forms.CALL_FORMS), `thoughts` are the marks
    around what it may think before it answers.
    """

    def __init__(
        self,
        folder: Path,
        eos_ids: set[int],
        width: int,
        form: str = "hermes",
        thoughts: tuple[str, str] | None = None,
    ) -> None:
        self._folder = folder
        self._eos_ids = sorted(eos_ids)
        self._width = width
        self._form = form
        self._thoughts = thoughts
        self._lock = threading.Lock()
        self._made: Vocabulary | None = None

    def constraint(self, request: ChatRequest, *, thinking: bool = False) -> Guide | None:
        """The grammar that a request asks for; None when any text will do. `thinking`: the prompt ends in a thought.

        Raises InvalidRequest for a choice or a format that makes no sense, GrammarRefused for a schema that cannot be
        enforced, NotSupported for calls of a family whose form is not known here.
        """
        choice = _choice(request)
        if not _has_format(request) and not (choice and choice.binding):
            return None
        _check_size(request)
        final = _final(request.response_format)
        calls = self._calls(choice) if choice else None
        vocabulary = self._vocabulary()
        return _guide(vocabulary.tokenizer, write(vocabulary, calls, final, thinking=thinking))

    def _calls(self, choice: _Choice) -> Calls:
        form = self._call_form()
        tools = [(tool.function.name, _arguments(tool, index, choice, form)) for index, tool in choice.tools]
        return Calls(tools, form, choice.required, choice.several)

    def _call_form(self) -> CallForm:
        if self._form not in CALL_FORMS:
            raise NotSupported(
                f"Calls cannot be enforced in the form that this model writes them in ({self._form}): use tool_choice "
                "'auto' or 'none', without strict tools.",
                param="tool_choice",
            )
        return CALL_FORMS[self._form]

    def _vocabulary(self) -> Vocabulary:
        """The vocabulary as llguidance wants it, made at the first request: it takes a fifth of a second."""
        with self._lock:
            if self._made is None:
                text = (self._folder / "tokenizer.json").read_text()
                try:
                    tokenizer = LLTokenizer(text, n_vocab=self._width, eos_token=self._eos_ids or None)
                except (ValueError, OverflowError) as error:
                    raise NotSupported(f"Grammars do not work with this tokenizer: {_one_line(str(error))}") from error
                self._made = self._described(tokenizer, json.loads(text).get("added_tokens") or [])
            return self._made

    def _described(self, tokenizer: LLTokenizer, added: list[dict[str, Any]]) -> Vocabulary:
        ids = {token["content"]: int(token["id"]) for token in added if tokenizer.is_special_token(token["id"])}
        tags = {tag for form in CALL_FORMS.values() for tag in (form.opening, form.closing)}
        plain = [ids[t["content"]] for t in added if not t["special"] and t["content"] in ids.keys() - tags]
        return Vocabulary(tokenizer, sorted(set(plain) - set(self._eos_ids)), self._thoughts)


@dataclass(frozen=True)
class _Choice:
    """The tools that may be called, each with its index in the request, and how freely."""

    tools: Sequence[tuple[int, Tool]]
    required: bool
    several: bool
    narrowed: bool = False

    @property
    def binding(self) -> bool:
        """Whether a model left to itself could break it."""
        return self.required or self.narrowed or any(tool.function.strict for _, tool in self.tools)


def _choice(request: ChatRequest) -> _Choice | None:
    """What `tools`, `tool_choice` and `parallel_tool_calls` say; None when no call may be made."""
    tools = list(enumerate(request.tools or ()))
    several = request.parallel_tool_calls is not False
    match request.tool_choice:
        case "none":
            return None
        case None | "auto":
            return _Choice(tools, required=False, several=several) if tools else None
        case "required":
            return _Choice(_some(tools), required=True, several=several)
        case {"type": "function", "function": {"name": str(name)}}:
            return _Choice(_named(tools, {name}), required=True, several=False)
        case {"type": "allowed_tools", "allowed_tools": {"mode": "auto" | "required" as mode, "tools": list(allowed)}}:
            names = {_name(entry) for entry in allowed}
            return _Choice(_named(tools, names), required=mode == "required", several=several, narrowed=True)
    raise InvalidRequest(
        "'tool_choice' must be 'none', 'auto', 'required', a function of 'tools', or allowed tools.", "tool_choice"
    )


def _some(tools: list[tuple[int, Tool]]) -> list[tuple[int, Tool]]:
    if not tools:
        raise InvalidRequest("'tool_choice' asks for a call, but there are no 'tools'.", "tool_choice")
    return tools


def _named(tools: list[tuple[int, Tool]], names: set[str]) -> list[tuple[int, Tool]]:
    missing = names - {tool.function.name for _, tool in tools}
    if missing or not names:
        raise InvalidRequest(f"'tool_choice' names tools that are not in 'tools': {sorted(missing)}.", "tool_choice")
    return [(index, tool) for index, tool in tools if tool.function.name in names]


def _name(entry: Any) -> str:
    match entry:
        case {"type": "function", "function": {"name": str(name)}}:
            return name
    raise InvalidRequest("An allowed tool must be {'type': 'function', 'function': {'name': …}}.", "tool_choice")


def _has_format(request: ChatRequest) -> bool:
    return request.response_format not in (None, {"type": "text"})


def _check_size(request: ChatRequest) -> None:
    asked = [tool.function.parameters for tool in request.tools or ()], request.response_format
    if len(msgspec.json.encode(asked)) > _MAX_BYTES:
        raise GrammarRefused(f"All schemas of a request may take {_MAX_BYTES // 1024} kB together.", param="tools")


def _final(response_format: dict[str, Any] | None) -> dict[str, Any] | None:
    """The schema that the answer's text must fit, ready to be compiled; None: any text."""
    match response_format:
        case None | {"type": "text"}:
            return None
        case {"type": "json_object"}:
            return schemas.fit(schemas.ANY_OBJECT, "response_format")
        case {"type": "json_schema", "json_schema": {"schema": schema}}:
            return _exact(schemas.fit(schema, _FORMAT), _FORMAT)
    raise InvalidRequest(
        "'response_format' must be of type 'text', 'json_object', or 'json_schema' with 'json_schema.schema'.",
        "response_format",
    )


def _arguments(tool: Tool, index: int, choice: _Choice, form: CallForm) -> dict[str, Any]:
    """The schema of a tool's arguments, ready to be compiled.

    A strict tool's is exact or refused. Others are followed as far as grammars can where a call is required, and only
    as far as being an object where it is not.
    """
    param = f"tools[{index}].function.parameters"
    if not (tool.function.strict or choice.required):
        return schemas.fit(schemas.ANY_OBJECT, param)
    schema = schemas.arguments(tool.function.parameters, param)
    exact = schemas.fit(schema, param)
    if tool.function.strict and (lacking := form.inexact(exact)):
        raise GrammarRefused(f"In the form that this model writes calls in, {lacking} cannot be enforced.", param=param)
    if tool.function.strict:
        return _exact(exact, param)
    for attempt in (exact, schemas.fit(schema, param, lenient=True)):
        if _refusal(attempt) is None:
            return attempt
    return schemas.fit(schemas.ANY_OBJECT, param)


def _exact(schema: dict[str, Any], param: str) -> dict[str, Any]:
    if (reason := _refusal(schema)) is not None:
        raise GrammarRefused(f"The schema cannot be enforced: {reason}", param=param)
    return schema


def _refusal(schema: dict[str, Any]) -> str | None:
    """Why a schema has no grammar; None when it has one."""
    grammar = LLMatcher.grammar_from_json_schema(json.dumps(schema))
    failed, messages = LLMatcher.validate_grammar_with_warnings(grammar, limits=_LIMITS)
    return _one_line(messages[0]) if failed else None


def _guide(tokenizer: LLTokenizer, grammar: str) -> Guide:
    guide = Guide(LLMatcher(tokenizer, grammar, log_level=0, limits=_LIMITS))
    guide.mask()  # some grammars fail only now: those in which nothing can ever be said
    if guide.failure:
        raise GrammarRefused(f"What is asked for cannot be enforced: {guide.failure}")
    return guide


def _one_line(message: str) -> str:
    return " ".join(message.replace("<non-verbose/>", "").split())[:300]
