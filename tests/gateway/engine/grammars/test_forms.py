"""Calls in the forms of other families than Hermes: what is enforced, what is refused, and what their readers read."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer

from gateway.engine.errors import GrammarRefused
from gateway.engine.grammars.grammar import Grammars
from gateway.engine.toolcalls.families import Family
from gateway.engine.toolcalls.form import Ending, Found
from router.chat import ToolCall, parse_request
from router.verify import call_fault
from tests.gateway.engine.grammars.asked import (
    BODY,
    END,
    INTEGER,
    SCHEMAS,
    STRING,
    VOCABULARY,
    Write,
    closed,
    guide,
    request,
    takes,
    tool,
)

A = tool("look", closed(path=STRING), strict=True)


@pytest.mark.parametrize("family", ["qwen3_coder", "mistral"])
def test_calls_in_other_forms_fit_their_tools_too(student_folder: Path, write: Write, family: str) -> None:
    grammars = Grammars(student_folder, {END}, VOCABULARY, form=family)
    names = [name for name in SCHEMAS if family == "mistral" or name not in ("all-of", "pattern", "classes", "spaces")]
    tools = [tool(name, SCHEMAS[name]) for name in names]
    kinds = [{"type": "function", "function": {"name": name}} for name in names] + ["required"] * 10
    written = write([guide(grammars, tools=tools, tool_choice=kind, parallel_tool_calls=False) for kind in kinds])
    known = {name: parse_request({**BODY, "tools": [tool(name, SCHEMAS[name])]}).tools[0] for name in names}  # type: ignore[index]
    ended = 0
    for kind, (text, whole) in zip(kinds, written, strict=True):
        if not whole:
            continue
        ended += 1
        found = Family(family).form([*known.values()]).find(text, 0, Ending.WHOLE)
        assert isinstance(found, Found), text
        assert (text[: found.start].strip(), text[found.end :].strip()) == ("", "")
        [call] = found.calls
        assert call_fault(ToolCall("x", call), {call.name: known[call.name]}) == "", text
        if isinstance(kind, dict):
            assert call.name == kind["function"]["name"]
    assert ended >= 0.8 * len(kinds)


@pytest.mark.parametrize(
    ("schema", "lacking"),
    [
        (closed(id={"type": "string", "pattern": "^a+$"}), "'pattern' of the text 'id'"),
        (closed(value={"anyOf": [STRING, INTEGER]}), "'anyOf' of the text 'value'"),
        (closed(value={"type": ["string", "null"]}), "'value', which is a text or something else"),
        ({"type": "object", "properties": {}, "maxProperties": 2}, "'maxProperties' of an object"),
    ],
)
def test_what_tags_cannot_enforce_is_refused_for_a_strict_tool(
    student_folder: Path, schema: dict[str, Any], lacking: str
) -> None:
    grammars = Grammars(student_folder, {END}, VOCABULARY, form="qwen3_coder")
    with pytest.raises(GrammarRefused, match=re.escape(lacking)):
        grammars.constraint(request(tools=[tool("t", schema, strict=True)]))
    assert guide(grammars, tools=[tool("t", schema)], tool_choice="required")


def test_text_beside_calls_with_tags(student_folder: Path, tokenizer: Tokenizer) -> None:
    grammars = Grammars(student_folder, {END}, VOCABULARY, form="qwen3_coder")
    look = "<tool_call>\n<function=look>\n<parameter=path>\na.py\n</parameter>\n</function>\n</tool_call>"
    for text, good in (
        ("I look.", True),
        (look, True),
        (f"I look.\n{look}", True),
        (look.replace("path", "file"), False),
        (look.replace("a.py", "a much too long path.py"), False),
        (look.replace("a.py", "</function>"), False),
    ):
        assert takes(guide(grammars, tools=[A]), tokenizer, text) == good, text
