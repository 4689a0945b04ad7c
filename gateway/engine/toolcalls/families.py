"""Which form a model writes its calls and its thoughts in, by what its folder says.

Owns the choice, which is mlx-lm's own (`tool_parser_type` in the tokenizer's settings, else inferred from the chat
template), and the table of marks around thoughts. To add a family of one's own, write its Form and name it in
`Family.form`.
"""

from __future__ import annotations

import functools
import importlib
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlx_lm import tokenizer_utils

from distill.render import read_template
from gateway.engine.toolcalls.foreign import Foreign
from gateway.engine.toolcalls.form import Form
from gateway.engine.toolcalls.hermes import Hermes
from gateway.engine.toolcalls.qwen_xml import QwenXml
from router.chat import Tool

HERMES = "hermes"  # mlx-lm calls it json_tools; the other names are mlx-lm's
QWEN_XML = "qwen3_coder"

_THOUGHTS = (
    ("<think>", "</think>"),
    ("<longcat_think>", "</longcat_think>"),
    ("<|think:start|>", "<|think:end|>"),
    ("[THINK]", "[/THINK]"),
    ("<|channel>thought", "<channel|>"),
    ("<|open|>think<|sep|>", "<|close|>think<|sep|>"),
)


@dataclass(frozen=True)
class Family:
    """How a model writes: the name of its tool calls' form, and the marks around its thoughts if it knows any."""

    calls: str
    thoughts: tuple[str, str] | None = None

    def form(self, tools: Sequence[Tool], *, loose: bool = True) -> Form:
        """The form of one request's calls. Not `loose`: JSON without tags is an answer, never a call."""
        if self.calls == HERMES:
            return Hermes({tool.function.name for tool in tools}, loose=loose)
        if self.calls == QWEN_XML:
            return QwenXml(tools)
        return Foreign(self.calls, importlib.import_module(f"mlx_lm.tool_parsers.{self.calls}"), tools)


@functools.cache
def family_of(folder: Path) -> Family:
    """The family of a model folder. One whose template knows no tools is read as tolerantly as can be."""
    file = folder / "tokenizer_config.json"
    config = json.loads(file.read_text()) if file.exists() else {}
    tokens = {token["content"] for token in config.get("added_tokens_decoder", {}).values()}
    return recognise(read_template(folder), tokens, config.get("tool_parser_type"))


def recognise(template: str, tokens: Collection[str] = (), named: str | None = None) -> Family:
    """The family that writes like this chat template, with these control tokens."""
    calls = named or tokenizer_utils._infer_tool_parser(_Known(template, tokens)) or "json_tools"
    known = (pair for pair in _THOUGHTS if pair[1] in template or set(pair) <= set(tokens))
    return Family(HERMES if calls == "json_tools" else calls, next(known, None))


class _Known:
    """What mlx-lm looks at in a tokenizer."""

    def __init__(self, template: str, tokens: Collection[str]) -> None:
        self.chat_template = template
        self._tokens = tokens

    def get_vocab(self) -> dict[str, int]:
        return {token: index for index, token in enumerate(self._tokens)}
