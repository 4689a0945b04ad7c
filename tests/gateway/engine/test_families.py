"""Every family that mlx-lm can read: recognised by its template, and read without losing a word."""

from __future__ import annotations

import json
import pkgutil
from pathlib import Path

import mlx_lm.tool_parsers
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.engine.reading import Parsed, Reader, parse
from gateway.engine.toolcalls.families import Family, family_of, recognise
from gateway.engine.toolcalls.form import Ending
from router.chat import FunctionSpec, Tool

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}}
TOOLS = [Tool(FunctionSpec("weather", parameters=SCHEMA)), Tool(FunctionSpec("now"))]
WRITTEN = {  # one call of each family, the city in the place of CITY
    "hermes": '<tool_call>\n{"name": "weather", "arguments": {"city": "CITY", "days": 2}}\n</tool_call>',
    "qwen3_coder": "<tool_call>\n<function=weather>\n<parameter=city>\nCITY\n</parameter>\n<parameter=days>\n2\n"
    "</parameter>\n</function>\n</tool_call>",
    "function_gemma": "<start_function_call>call:weather{city:<escape>CITY<escape>,days:2}<end_function_call>",
    "gemma4": '<|tool_call>call:weather{city:<|"|>CITY<|"|>,days:2}<tool_call|>',
    "glm47": "<tool_call>weather<arg_key>city</arg_key><arg_value>CITY</arg_value><arg_key>days</arg_key>"
    "<arg_value>2</arg_value></tool_call>",
    "kimi_k2": "<|tool_calls_section_begin|><|tool_call_begin|>functions.weather:0<|tool_call_argument_begin|>"
    '{"city": "CITY", "days": 2}<|tool_call_end|><|tool_calls_section_end|>',
    "kimi_k3": '<|open|>tools<|sep|><|open|>call tool="weather" index="1"<|sep|><|open|>argument key="city" '
    'type="string"<|sep|>CITY<|close|>argument<|sep|><|open|>argument key="days" type="number"<|sep|>2<|close|>argument'
    "<|sep|><|close|>call<|sep|><|close|>tools<|sep|>",
    "laguna": "<tool_call>weather<arg_key>city</arg_key><arg_value>CITY</arg_value><arg_key>days</arg_key>"
    "<arg_value>2</arg_value></tool_call>",
    "longcat": "<longcat_tool_call>weather<longcat_arg_key>city</longcat_arg_key><longcat_arg_value>CITY"
    "</longcat_arg_value><longcat_arg_key>days</longcat_arg_key><longcat_arg_value>2</longcat_arg_value>"
    "</longcat_tool_call>",
    "minicpm5": '<function name="weather"><param name="city">CITY</param><param name="days">2</param></function>',
    "minimax_m2": '<minimax:tool_call><invoke name="weather"><parameter name="city">CITY</parameter>'
    '<parameter name="days">2</parameter></invoke></minimax:tool_call>',
    "mistral": '[TOOL_CALLS]weather[ARGS]{"city": "CITY", "days": 2}',
    "muse_spark": '<atem:function_calls><atem:invoke name="weather"><atem:parameter name="city">CITY</atem:parameter>'
    '<atem:parameter name="days">2</atem:parameter></atem:invoke></atem:function_calls>',
    "pythonic": '<|tool_call_start|>[weather(city="CITY", days=2)]<|tool_call_end|>',
}
BROKEN = {  # of which mlx-lm reads a part, or something else, without a word
    "function_gemma": "<start_function_call>call:weather{city:<escape>a}b<escape>,days:2}<end_function_call>",
    "gemma4": '<|tool_call>call:weather{city:<|"|>Oslo<|"|>} and call weather{city<tool_call|>',
    "glm47": "<tool_call>weather for Oslo</tool_call>",
    "kimi_k2": "<|tool_calls_section_begin|><|tool_call_begin|>functions.weather:0<|tool_call_argument_begin|>"
    '{"city": "Oslo"}<|tool_call_end|>functions.now:1<|tool_call_argument_begin|>{}<|tool_calls_section_end|>',
    "kimi_k3": '<|open|>tools<|sep|><|open|>call tool="weather" index="1"<|sep|><|open|>argument key="city" '
    'type="string"<|sep|>Oslo<|close|>argument<|sep|><|close|>call<|sep|><|open|>call index="2"<|sep|>lost'
    "<|close|>call<|sep|><|close|>tools<|sep|>",
    "longcat": "<longcat_tool_call>weather<longcat_arg_key>city</longcat_arg_key>Oslo</longcat_tool_call>",
    "minimax_m2": '<minimax:tool_call><invoke name="weather">Oslo, please</invoke></minimax:tool_call>',
    "pythonic": "<|tool_call_start|>[weather(city=Oslo, please)]<|tool_call_end|>",
}
TEMPLATES = {
    "hermes": "{{ '<tool_call>' }} {{ tool_call.name }}",
    "qwen3_coder": "<tool_call>\n<function=",
    "minimax_m2": "<minimax:tool_call>",
    "gemma4": "<|tool_call> <tool_call|>",
    "function_gemma": "<start_function_call>",
    "longcat": "<longcat_tool_call>",
    "glm47": "<tool_call> <arg_key>",
    "pythonic": "<|tool_call_start|>",
    "kimi_k2": "<|tool_calls_section_begin|>",
    "minicpm5": '<function name="{{ f }}"> <param name="{{ p }}">',
    "mistral": "[TOOL_CALLS]",
    "muse_spark": "<atem:function_calls>",
}


def read(family: str, text: str, ending: Ending = Ending.WHOLE) -> Parsed:
    return parse(text, Reader(Family(family).form(TOOLS)), ending)


def test_all_of_mlx_lms_families_are_here() -> None:
    theirs = {module.name for module in pkgutil.iter_modules(mlx_lm.tool_parsers.__path__)}
    assert set(WRITTEN) == theirs - {"json_tools"} | {"hermes"}


@pytest.mark.parametrize("family", WRITTEN)
@pytest.mark.parametrize("city", ["Oslo", "São Paulo 東京 👩‍💻", "a word. And <b>another</b>; [x]: (y), 1.5!"])
def test_a_call_is_read_whatever_the_family_and_nothing_of_it_is_lost(family: str, city: str) -> None:
    text = WRITTEN[family].replace("CITY", city)
    parsed = read(family, f"I look.\n{text}")
    assert parsed.content == "I look."
    [call] = parsed.calls
    assert (call.name, json.loads(call.arguments)) == ("weather", {"city": city, "days": 2})


@pytest.mark.parametrize("family", WRITTEN)
def test_a_stream_gives_the_call_at_its_end_tag_and_nothing_of_it_before(family: str) -> None:
    text = "I look. " + WRITTEN[family].replace("CITY", "Oslo")
    reader, parsed, ends = Reader(Family(family).form(TOOLS)), Parsed(), []
    for end in range(1, len(text) + 1):
        parsed.take(reader.feed(text[:end]))
        ends += [end] if parsed.calls and not ends else []
    assert parsed.content == "I look."
    if family == "mistral":  # has no end tag
        assert ends == []
        parsed.take(reader.feed(text, Ending.WHOLE))
    else:
        assert ends == [len(text)]
    assert parsed == read(family, text)


@pytest.mark.parametrize("family", WRITTEN)
def test_a_call_that_was_cut_off_is_content(family: str) -> None:
    text = WRITTEN[family].replace("CITY", "Oslo")
    for end in range(len(text) - 12, len(text)):
        if family == "qwen3_coder" and "</function>" in text[:end]:
            continue  # the function was complete
        parsed = read(family, text[:end], Ending.CUT)
        assert (parsed.content, parsed.calls) == (text[:end], [])


@pytest.mark.parametrize("family", BROKEN)
def test_what_mlx_lm_would_lose_stays_content(family: str) -> None:
    parsed = read(family, BROKEN[family])
    assert (parsed.content, parsed.calls) == (BROKEN[family], [])


@pytest.mark.parametrize("family", WRITTEN)
def test_a_tool_that_was_not_offered_is_no_call_but_in_hermes_tags(family: str) -> None:
    text = WRITTEN[family].replace("weather", "launch")
    parsed = read(family, text)
    tagged = family in ("hermes", "qwen3_coder")  # their tags mean nothing else; the router judges the name
    assert [call.name for call in parsed.calls] == (["launch"] if tagged else [])
    assert parsed.content == ("" if tagged else text)


PIECES = sorted({piece for text in WRITTEN.values() for piece in (text[:9], text[-9:], text[9:30])} | {"{", '"', " a "})


@given(st.sampled_from(sorted(WRITTEN)), st.lists(st.sampled_from(PIECES), max_size=10).map("".join))
@settings(max_examples=300, deadline=None)
def test_no_text_breaks_a_family(family: str, text: str) -> None:
    parsed = read(family, text)
    if not parsed.calls:
        assert parsed.content == text


@pytest.mark.parametrize("family", TEMPLATES)
def test_a_template_tells_its_family(family: str) -> None:
    assert recognise(TEMPLATES[family]) == Family(family)


def test_a_folders_settings_tell_it_too(tmp_path: Path) -> None:
    (tmp_path / "chat_template.jinja").write_text("{% if '</think>' in content %}")
    settings = {"tool_parser_type": "laguna", "added_tokens_decoder": {"1": {"content": "<think>"}}}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    assert family_of(tmp_path) == Family("laguna", ("<think>", "</think>"))


@pytest.mark.parametrize(
    ("template", "tokens", "family"),
    [
        ("plain", (), Family("hermes")),
        ("plain", ("<|tool_call_start|>", "<|tool_call_end|>"), Family("pythonic")),
        ("plain", ("[THINK]", "[/THINK]"), Family("hermes", ("[THINK]", "[/THINK]"))),
        ("<tool_call>\\n<function= </think>", (), Family("qwen3_coder", ("<think>", "</think>"))),
    ],
)
def test_tokens_tell_what_a_template_does_not(template: str, tokens: tuple[str, ...], family: Family) -> None:
    assert recognise(template, tokens) == family
