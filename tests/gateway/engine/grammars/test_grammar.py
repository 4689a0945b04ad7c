"""Whatever a model would like to say, under a grammar it says what was asked for, and nothing hostile gets through."""

from __future__ import annotations

import json
import re
import threading
import time
from pathlib import Path
from typing import Any

import jsonschema_rs
import numpy as np
import pytest
from tokenizers import Tokenizer, models

from distill.mlx import blas

blas.prepare(1)

import mlx.core as mx  # noqa: E402 - the BLAS comes first

from gateway.engine.errors import GrammarRefused, NotSupported  # noqa: E402
from gateway.engine.grammars.grammar import Grammars  # noqa: E402
from gateway.engine.inference.job import Sampling  # noqa: E402
from gateway.engine.inference.sampling import Row, choose  # noqa: E402
from router.chat import FunctionCall, InvalidRequest, Tool, ToolCall, parse_request  # noqa: E402
from router.verify import call_fault  # noqa: E402
from tests.gateway.engine.grammars.asked import (  # noqa: E402
    BODY,
    END,
    INTEGER,
    SCHEMAS,
    STRING,
    VOCABULARY,
    Write,
    as_format,
    closed,
    guide,
    request,
    takes,
    tool,
)

WIDTH = VOCABULARY + 128  # of a model with a few more tokens, and room for others
CALL = re.compile(r"<tool_call>\n(.*?)\n</tool_call>", re.DOTALL)


def said(name: str, arguments: str) -> str:
    return f'<tool_call>\n{{"name": {json.dumps(name, ensure_ascii=False)}, "arguments": {arguments}}}\n</tool_call>'


def faults(text: str, tools: list[dict[str, Any]]) -> list[str]:
    """What the router would find wrong with the calls that a text consists of."""
    known = {spec["function"]["name"]: parse_request({**BODY, "tools": [spec]}).tools[0] for spec in tools}  # type: ignore[index]
    calls = [json.loads(found) for found in CALL.findall(text)]
    assert CALL.sub("", text).strip() == ""
    assert calls
    return [fault for call in calls if (fault := fault_of(call, known))]


def fault_of(call: dict[str, Any], tools: dict[str, Tool]) -> str:
    assert [*call] == ["name", "arguments"]
    return call_fault(ToolCall("x", FunctionCall(call["name"], json.dumps(call["arguments"]))), tools)


def test_every_answer_that_ends_fits_its_schema(grammars: Grammars, write: Write) -> None:
    names = [name for name in SCHEMAS for _ in range(4)]
    guides = [guide(grammars, response_format=as_format(SCHEMAS[name])) for name in names]
    ended = 0
    for name, (text, whole) in zip(names, write(guides), strict=True):
        if whole:
            ended += 1
            validator = jsonschema_rs.validator_for(SCHEMAS[name], validate_formats=True)
            assert validator.is_valid(json.loads(text)), (name, text)
    assert ended >= 0.9 * len(names)


def test_every_call_that_ends_fits_its_tool(grammars: Grammars, write: Write) -> None:
    tools = [tool(name, schema) for name, schema in SCHEMAS.items()]
    kinds = [{"type": "function", "function": {"name": name}} for name in SCHEMAS] + ["required"] * 10
    written = write([guide(grammars, tools=tools, tool_choice=kind, parallel_tool_calls=False) for kind in kinds])
    for kind, (text, whole) in zip(kinds, written, strict=True):
        if whole:
            assert faults(text, tools) == []
            if isinstance(kind, dict):
                assert json.loads(CALL.findall(text)[0])["name"] == kind["function"]["name"]
    assert sum(whole for _, whole in written) >= 0.9 * len(kinds)


def test_copies_of_a_guide_go_their_own_ways(grammars: Grammars, write: Write) -> None:
    first = guide(grammars, response_format=as_format(SCHEMAS["lengths"]))
    texts = [text for text, _ in write([first, *(first.copy() for _ in range(5))])]
    assert len(set(texts)) > 1
    assert all(3 <= len(json.loads(text)["s"]) <= 6 for text in texts)


A, B = tool("look", closed(path=STRING), strict=True), tool("run", {"type": "object", "properties": {"n": INTEGER}})
LOOK, RUN = said("look", '{"path": "a.py"}'), said("run", '{"n": 3}')
BAD_LOOK, BAD_RUN, UNKNOWN = said("look", '{"path": 3}'), said("run", '{"n": "x"}'), said("rm", "{}")
RUN_ONLY = {"type": "function", "function": {"name": "run"}}
ALLOWED = {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [RUN_ONLY]}}
JSON = {"type": "json_object"}


@pytest.mark.parametrize(
    ("fields", "good", "bad"),
    [
        ({"tool_choice": "required"}, [LOOK, RUN, f"{LOOK}\n{RUN}", f"{RUN}\n{RUN}\n{RUN}"],
         ["Hello", BAD_LOOK, BAD_RUN, UNKNOWN, f"I look.\n{LOOK}", f"{LOOK} and", LOOK.replace("</tool_call>", "")]),
        ({"tool_choice": "required", "parallel_tool_calls": False}, [LOOK, RUN], [f"{LOOK}\n{RUN}"]),
        ({"tool_choice": RUN_ONLY}, [RUN], [LOOK, BAD_RUN, f"{RUN}\n{RUN}", "Hello"]),
        ({}, ["Hello <tool", LOOK, f"I look.\n{LOOK}\n{RUN}", f"{LOOK} Then: {BAD_RUN} done."],
         [BAD_LOOK, UNKNOWN, f"Fine. {BAD_LOOK}", "<tool_call>x", "Well <tool_call>"]),
        ({"parallel_tool_calls": False}, ["Hello", f"So: {LOOK}"], [f"{LOOK}\n{RUN}", f"{LOOK} and", UNKNOWN]),
        ({"tool_choice": ALLOWED}, ["Hello", RUN, BAD_RUN], [LOOK, UNKNOWN]),
        ({"tool_choice": {**ALLOWED, "allowed_tools": {**ALLOWED["allowed_tools"], "mode": "required"}}},
         [RUN], ["Hello", LOOK, BAD_RUN]),
        ({"response_format": JSON}, [LOOK, f"{LOOK}\n{RUN}", '{"a": [1, {"b": null}]}'], ["Hello", "[1]", BAD_LOOK]),
        ({"response_format": JSON, "tool_choice": "none"}, ['{"a": 1}', "{}"], [LOOK, '{"a": 1} so']),
        ({"response_format": as_format(SCHEMAS["enum"])}, ['{"kind": "two words"}', LOOK], ['{"kind": "four"}', "{}"]),
    ],
)  # fmt: skip
def test_what_may_be_said(
    grammars: Grammars, tokenizer: Tokenizer, fields: dict[str, Any], good: list[str], bad: list[str]
) -> None:
    first = guide(grammars, tools=[A, B], **fields)
    assert [text for text in good if not takes(first.copy(), tokenizer, text)] == []
    assert [text for text in bad if takes(first.copy(), tokenizer, text)] == []


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"tools": [B]},
        {"tools": [B], "tool_choice": "auto", "parallel_tool_calls": False},
        {"tools": [A, B], "tool_choice": "none"},
        {"response_format": {"type": "text"}},
    ],
)
def test_who_asks_for_nothing_binding_gets_no_grammar(grammars: Grammars, fields: dict[str, Any]) -> None:
    assert grammars.constraint(request(**fields)) is None


@pytest.fixture(scope="module")
def tagged(student_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The student's vocabulary with tokens for tags, as Qwen's has; they are not marked as special there."""
    folder = tmp_path_factory.mktemp("tagged")
    made = json.loads((student_folder / "tokenizer.json").read_text())
    plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": False}
    for i, tag in enumerate(("<tool_call>", "</tool_call>", "<think>", "</think>")):
        made["added_tokens"].append({"id": VOCABULARY + i, "content": tag, **plain})
    (folder / "tokenizer.json").write_text(json.dumps(made))
    return folder


def test_tags_that_are_tokens_cannot_be_spelt(tagged: Path, tokenizer: Tokenizer) -> None:
    grammars, whole = Grammars(tagged, {END}, WIDTH), Tokenizer.from_file(str(tagged / "tokenizer.json"))
    assert len(whole.encode("<tool_call>").ids) == 1
    free, forced = guide(grammars, tools=[A, B]), guide(grammars, tools=[A, B], tool_choice="required")
    for text in (LOOK, f"{LOOK}\n{RUN}"):
        assert takes(forced.copy(), whole, text)
        assert takes(free.copy(), whole, f"So:\n{text}\nDone.")
    assert not takes(free.copy(), whole, f"So:\n{LOOK}\nDone, </tool_call> is a tag.")
    assert not takes(free.copy(), whole, BAD_LOOK)
    assert not takes(free.copy(), tokenizer, LOOK)
    assert not takes(forced.copy(), tokenizer, LOOK)
    assert takes(free.copy(), tokenizer, "if a<tool: call <tool_>")
    assert takes(free.copy(), whole, f"<think>\nLet me\n</think>\n\nI look. {LOOK}")


@pytest.mark.parametrize("as_tokens", [True, False])
@pytest.mark.parametrize("fields", [{"tool_choice": "required"}, {"response_format": {"type": "json_object"}}])
def test_a_model_that_thinks_may_do_so_first(
    tagged: Path, student_folder: Path, fields: dict[str, Any], as_tokens: bool
) -> None:
    folder = tagged if as_tokens else student_folder
    whole = Tokenizer.from_file(str(folder / "tokenizer.json"))
    asked = request(tools=[A, B], **fields)
    thinker = Grammars(folder, {END}, WIDTH, thoughts=("<think>", "</think>"))
    free, begun = thinker.constraint(asked), thinker.constraint(asked, thinking=True)
    other = Grammars(folder, {END}, WIDTH).constraint(asked)
    assert None not in (free, begun, other)
    thought = "\nLet {me} look.\n</think>\n\n"
    for start, made in (("", free), (f"<think>{thought}", free), (thought, begun)):
        assert takes(made.copy(), whole, start + LOOK)
        assert not takes(made.copy(), whole, start + BAD_LOOK)
    assert not takes(free.copy(), whole, f"<think>\nLet me. {LOOK}")
    assert not takes(begun.copy(), whole, LOOK)
    assert not takes(other.copy(), whole, f"<think>{thought}{LOOK}")


def test_a_vocabulary_llguidance_cannot_read(tmp_path: Path) -> None:
    Tokenizer(models.WordPiece({"[UNK]": 0, "a": 1}, unk_token="[UNK]")).save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(NotSupported, match="tokenizer"):
        Grammars(tmp_path, {1}, 2).constraint(request(response_format=JSON))


@pytest.mark.parametrize("name", ['say "hi"', "päth/ü", "back\\slash", "名前😀", "line\nbreak", "a", "ab", "x{NAME}"])
def test_any_name_a_tool_may_have(grammars: Grammars, tokenizer: Tokenizer, name: str) -> None:
    forced = guide(grammars, tools=[tool(name, closed(a=INTEGER)), A], tool_choice="required")
    assert takes(forced, tokenizer, said(name, '{"a": 1}'))


def test_a_tool_without_parameters_takes_none(grammars: Grammars, tokenizer: Tokenizer) -> None:
    forced = guide(grammars, tools=[{"type": "function", "function": {"name": "now"}}], tool_choice="required")
    assert takes(forced.copy(), tokenizer, said("now", "{}"))
    assert not takes(forced.copy(), tokenizer, said("now", '{"a": 1}'))


def test_a_tool_that_is_not_strict_is_followed_as_far_as_a_grammar_can(
    grammars: Grammars, tokenizer: Tokenizer
) -> None:
    odd = closed(url={"type": "string", "format": "uri-reference"}, n={"type": "integer", "not": {"const": 4}})
    hopeless = {"type": "object", "properties": {"s": {"type": "string", "pattern": "(?=a)b"}}}
    tools = [tool("odd", odd), tool("hopeless", hopeless)]
    forced = guide(grammars, tools=tools, tool_choice="required")
    assert takes(forced.copy(), tokenizer, said("odd", '{"url": "x", "n": 4}'))
    assert not takes(forced.copy(), tokenizer, said("odd", '{"url": 1, "n": 4}'))
    assert takes(forced.copy(), tokenizer, said("hopeless", '{"s": "c"}'))
    with pytest.raises(GrammarRefused, match="uri-reference") as refused:
        grammars.constraint(request(tools=[B, tool("odd", odd, strict=True)], tool_choice="required"))
    assert refused.value.param == "tools[1].function.parameters"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tool_choice": RUN_ONLY}, "tool_choice"),
        ({"tools": [A], "tool_choice": RUN_ONLY}, "tool_choice"),
        ({"tools": [A], "tool_choice": "sometimes"}, "tool_choice"),
        ({"tools": [A], "tool_choice": {"type": "function"}}, "tool_choice"),
        ({"tools": [A], "tool_choice": {"type": "function", "function": {"name": ["look"]}}}, "tool_choice"),
        ({"tools": [A], "tool_choice": ALLOWED}, "tool_choice"),
        ({"tools": [A], "tool_choice": {**ALLOWED, "allowed_tools": {"mode": "auto", "tools": [3]}}}, "tool_choice"),
        ({"tools": [A], "tool_choice": {**ALLOWED, "allowed_tools": {"mode": "auto", "tools": []}}}, "tool_choice"),
        ({"response_format": {"type": "xml"}}, "response_format"),
        ({"response_format": {"type": "json_schema"}}, "response_format"),
        ({"response_format": {"type": "json_schema", "json_schema": {"name": "x"}}}, "response_format"),
        ({"response_format": {}}, "response_format"),
    ],
)
def test_choices_and_formats_that_make_no_sense(grammars: Grammars, fields: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        grammars.constraint(request(**fields))
    assert refused.value.param == param


def test_calls_of_a_family_whose_form_is_unknown(student_folder: Path) -> None:
    other = Grammars(student_folder, {END}, VOCABULARY, form="kimi_k2")
    with pytest.raises(NotSupported) as refused:
        other.constraint(request(tools=[A], tool_choice="required"))
    assert refused.value.param == "tool_choice"
    assert other.constraint(request(response_format=JSON)) is not None
    assert other.constraint(request(tools=[B])) is None


def test_a_guide_that_had_to_give_up_says_so_and_ends_the_turn(grammars: Grammars) -> None:
    made = guide(grammars, response_format=JSON)
    assert made.failure is None
    made.accept(END)  # an object must come first
    assert made.failure is not None
    assert "\n" not in made.failure
    assert np.flatnonzero(np.unpackbits(made.mask().view(np.uint8), bitorder="little")).tolist() == [END]


def test_a_guide_may_change_threads(grammars: Grammars) -> None:
    made = guide(grammars, response_format=JSON)
    masks: list[int] = []  # in bits
    for _ in range(3):
        worker = threading.Thread(target=lambda: masks.append(32 * len(made.mask())))
        worker.start()
        worker.join()
    assert min(masks) >= VOCABULARY


def test_tools_as_agents_have_them_cost_little(grammars: Grammars, write: Write) -> None:
    tools = [tool(name, schema) for name, schema in SCHEMAS.items()]
    began = time.perf_counter()
    made = guide(grammars, tools=tools, tool_choice="required")
    assert time.perf_counter() - began < 2
    began, tokens = time.perf_counter(), 0
    row = Row(Sampling(temperature=0), [1], made)
    while tokens < 100:
        made.mask()
        [token] = choose(mx.zeros((1, VOCABULARY)), [row]).tokens.tolist()
        row.accept(token)
        tokens += 1
    assert (time.perf_counter() - began) / tokens < 0.05
