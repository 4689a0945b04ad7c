"""Schemas from outside become grammars that end, that cost little, and that mean what the verifier means; or a 400."""

from __future__ import annotations

import json
import re
import time
from typing import Any

import jsonschema_rs
import pytest
from tokenizers import Tokenizer

from distill.mlx import blas

blas.prepare(1)

from gateway.engine.errors import GrammarRefused, http_answer  # noqa: E402 - the BLAS comes first
from gateway.engine.grammars.grammar import Grammars, Guide  # noqa: E402
from tests.gateway.engine.grammars.asked import INTEGER, STRING, as_format, closed, guide, takes, tool  # noqa: E402


def enforced(grammars: Grammars, schema: Any) -> Guide:
    """The schema as the format of an answer."""
    return guide(grammars, response_format=as_format(schema))


def called(grammars: Grammars, *schemas: Any) -> Guide:
    """Each schema as that of a tool, one of which must be called: t0, t1, …"""
    tools = [tool(f"t{i}", schema) for i, schema in enumerate(schemas)]
    return guide(grammars, tools=tools, tool_choice="required")


DEEP: dict[str, Any] = {"type": "string"}
for _ in range(60):
    DEEP = {"type": "object", "properties": {"a": DEEP}}


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ({"$ref": "https://example.com/schema.json"}, "nothing is ever fetched"),
        (closed(a={"$ref": "other.json#/a"}), "nothing is ever fetched"),
        (closed(a={"items": [{"$ref": "file:///etc/passwd"}]}), "nothing is ever fetched"),
        ({"$defs": {"a": {"$dynamicRef": "http://a/b#c"}}}, "nothing is ever fetched"),
        ({"$schema": "http://example.com/meta", "type": "object"}, "example.com"),
        ({"type": "strin"}, "strin"),
        ({"properties": 5}, "properties must be an object"),
        (closed(a={"$ref": "#/$defs/none"}), "does not exist"),
        (closed(a={"not": {"type": "string"}}), "not"),
        (closed(a={"type": "array", "uniqueItems": True}), "uniqueItems"),
        (closed(a={"type": "string", "pattern": "(?=a)b"}), "look-around"),
        (closed(a={"type": "string", "pattern": "(a"}), "regex"),
        (closed(a={"type": "string", "format": "made-up"}), "made-up"),
        (closed(a={"type": "integer", "minimum": 5, "maximum": 1}), "unsatisfiable"),
        (closed(a={"type": "integer", "multipleOf": 99999989}), "multipleOf"),
        (closed(a={"multipleOf": 9973}, b={"multipleOf": 9967}), "multipleOf"),
        (closed(a={"type": "number", "multipleOf": 0.99999999}), "multipleOf"),
        ({"enum": []}, "empty"),
        ({"$ref": "#"}, "cannot be enforced"),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}}, "enforced"),
        (DEEP, "levels deep"),
        ({"enum": [f"value {i}" for i in range(90_000)]}, "kB"),
        ({"type": "object", "properties": {f"p{i}": {} for i in range(9_000)}}, "kB"),
        ("no object", "must be an object"),
        ([], "must be an object"),
    ],
    ids=lambda value: str(value)[:40],
)  # fmt: skip
def test_schemas_that_cannot_be_enforced_are_refused_in_a_sentence(
    grammars: Grammars, schema: Any, reason: str
) -> None:
    with pytest.raises(GrammarRefused, match=re.escape(reason)) as refused:
        enforced(grammars, schema)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 500
    status, body, _ = http_answer(refused.value)
    assert (status, body["error"]["type"], body["error"]["code"]) == (400, "invalid_request_error", "invalid_schema")


@pytest.mark.parametrize("parameters", [{"type": "string"}, {"type": ["object", "null"]}, closed(a={"$ref": "x.json"})])
def test_a_tools_parameters_must_be_an_object_of_their_own(grammars: Grammars, parameters: dict[str, Any]) -> None:
    with pytest.raises(GrammarRefused) as refused:
        called(grammars, parameters)
    assert refused.value.param == "tools[0].function.parameters"


def test_what_only_looks_like_a_reference_is_none(grammars: Grammars, tokenizer: Tokenizer) -> None:
    schema = closed(**{"$ref": STRING}) | {"default": {"$ref": "http://example.com"}}
    guide = enforced(grammars, schema)
    assert takes(guide, tokenizer, '{"$ref": "http://x"}')


@pytest.mark.parametrize(
    "pattern",
    [r"\s", r"\S", r"[^\s]", r"[^\S]", r"[\sé]", r"\w", r"\W", r"[^\w]", r"\d", r"\D", r"[^\d]", "."],
)
def test_classes_of_characters_mean_what_the_verifier_means(
    grammars: Grammars, tokenizer: Tokenizer, pattern: str
) -> None:
    schema = {"type": "string", "pattern": f"^{pattern}$"}
    validator = jsonschema_rs.validator_for(schema, pattern_options=jsonschema_rs.RegexOptions())
    guide = enforced(grammars, schema)
    characters = "\t\n\r \x0b\x0c\x85\xa0\u1680\u180e\u2003\u2028\u2029\u202f\u205f\u3000\ufeffaZ_é٣3ſ\u212a-名😀"
    allowed = [c for c in characters if takes(guide.copy(), tokenizer, json.dumps(c, ensure_ascii=False))]
    assert allowed
    assert [c for c in allowed if not validator.is_valid(c)] == []


@pytest.mark.parametrize(
    "pattern",
    ["(a+)+$", "^(a+)+$", "(.*a){25}", "^(.*a.*b.*c){20}.{5,300}d$", "^(a{1,1000}){1,1000}$", "a{1000000}", "(x+x+)+y",
     "^.{0,2000}a.{2000}$", "^(x?){1000}x{1000}$", "(.{1,50}){50}z$", "(((((a{9}){9}){9}){9}){9}){9}"],
)  # fmt: skip
def test_no_pattern_stalls(grammars: Grammars, tokenizer: Tokenizer, pattern: str) -> None:
    schema = closed(s={"type": "string", "pattern": pattern})
    began, longest = time.perf_counter(), 0.0
    try:
        guide = enforced(grammars, schema)
    except GrammarRefused:
        assert time.perf_counter() - began < 2
        return
    assert time.perf_counter() - began < 2
    for token in tokenizer.encode('{"s": "' + "a" * 200).ids:
        began = time.perf_counter()
        if not guide.mask()[token // 32] >> (token % 32) & 1:
            break
        guide.accept(token)
        longest = max(longest, time.perf_counter() - began)
    assert longest < 0.5


def test_the_largest_schemas_let_through_compile_in_seconds(grammars: Grammars, tokenizer: Tokenizer) -> None:
    wide = {"type": "object", "properties": {f"property{i}": {"type": "string"} for i in range(1500)}}
    call = '{"name": "t3", "arguments": {"property7": "x", "property1400": "y"}}'
    began = time.perf_counter()
    guide = called(grammars, *[wide] * 5)
    assert takes(guide, tokenizer, f"<tool_call>\n{call}\n</tool_call>")
    assert time.perf_counter() - began < 10
    with pytest.raises(GrammarRefused, match="together"):
        called(grammars, *[wide] * 50)


def test_white_space_is_bounded(grammars: Grammars, tokenizer: Tokenizer) -> None:
    guide = enforced(grammars, closed(a=INTEGER))
    assert takes(guide.copy(), tokenizer, '{\n    "a": 1\n}')
    assert not takes(guide.copy(), tokenizer, "{" + "\n" * 30 + '"a": 1}')


def test_a_schema_cannot_set_the_rules_of_its_own_grammar(grammars: Grammars, tokenizer: Tokenizer) -> None:
    loose = closed(a={"type": "integer", "not": {"const": 1}}) | {"x-guidance": {"lenient": True}}
    with pytest.raises(GrammarRefused):
        enforced(grammars, loose)


def test_properties_come_in_the_schemas_order(grammars: Grammars, tokenizer: Tokenizer) -> None:
    guide = enforced(grammars, closed(b=INTEGER, a=INTEGER))
    assert takes(guide.copy(), tokenizer, '{"b": 1, "a": 2}')
    assert not takes(guide.copy(), tokenizer, '{"a": 2, "b": 1}')


def test_numbers_can_be_read_again(grammars: Grammars, tokenizer: Tokenizer) -> None:
    guide = enforced(grammars, closed(x={"type": "number"}, n=INTEGER))
    assert takes(guide.copy(), tokenizer, '{"x": -1234.5678, "n": 1400000000000000001}')
    assert not takes(guide.copy(), tokenizer, '{"x": 1e999, "n": 1}')
    assert not takes(guide.copy(), tokenizer, '{"x": 1, "n": 123456789012345678901234567890}')
