"""canitoolcall's recorded model outputs through our reader, and its live probe against the engine's wire."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest
from canitoolcall.checks import case_status, run_checks
from canitoolcall.chunking import DEFAULT_STRATEGIES, split
from canitoolcall.fixtures import Fixture, load_families, load_fixtures
from canitoolcall.probe import BUILTIN_SCENARIOS, probe
from canitoolcall.results import Observation, ParsedToolCall, ParseResult, Status
from granian.constants import Interfaces
from granian.server.embed import Server
from tokenizers import Tokenizer

from gateway.engine.app import create_app
from gateway.engine.reading import Parsed, Reader
from gateway.engine.scripted import ScriptedGenerator
from gateway.engine.served import ServedModel
from gateway.engine.text import TextStream
from gateway.engine.toolcalls.families import Family
from gateway.engine.toolcalls.form import Ending
from router.chat import Tool

THOUGHTS = ("<think>", "</think>")
FAMILIES = {"qwen3-hermes": Family("hermes", THOUGHTS), "qwen3-xml": Family("qwen3_coder", THOUGHTS)}
CONTROL = [*THOUGHTS, "<tool_call>", "</tool_call>"]  # one token each in Qwen's vocabularies
# What a limit cuts off is no call and is kept as content, since nothing a model wrote is dropped; these two expect it
# to be dropped.
KEPT = {"qwen3-hermes/truncated-second-parallel-call", "qwen3-xml/q38-truncated-at-tool-call-open"}


@functools.cache
def tokenizer(folder: Path) -> Tokenizer:
    """A real vocabulary with Qwen's control tokens; the fixtures' own is not at hand."""
    made: Tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    made.add_tokens(CONTROL)
    return made


def replay(fixture: Fixture, words: Tokenizer, groups: Sequence[Sequence[int]]) -> ParseResult:
    """The fixture's output in these groups of tokens through what reads every stream."""
    family = FAMILIES[fixture.family]
    tools = [msgspec.convert(dict(tool), Tool) for tool in fixture.tools]
    thinking = (fixture.generation_prompt or "").rstrip().endswith("<think>")
    reader = Reader(family.form(tools) if tools else None, family.thoughts, thinking=thinking)
    text = TextStream(functools.partial(words.decode, skip_special_tokens=False), (), [])
    parsed = Parsed()
    for group in groups:
        for token in group:
            text.feed(token)
        parsed.take(reader.feed(text.text))
    parsed.take(reader.feed(text.finish(), Ending.CUT if fixture.truncated else Ending.WHOLE))
    calls = tuple(ParsedToolCall(call.name, call.arguments) for call in parsed.calls)
    return ParseResult(parsed.content or None, parsed.reasoning or None, calls)


@pytest.mark.model
@pytest.mark.parametrize("fixture", load_fixtures(None, families=list(FAMILIES)), ids=lambda fixture: fixture.id)
def test_a_recorded_output_is_read_as_its_makers_expect(fixture: Fixture, student_folder: Path) -> None:
    words = tokenizer(student_folder)
    control = {words.token_to_id(token) for token in CONTROL}
    ids = words.encode(fixture.raw_output, add_special_tokens=False).ids
    streams = {s.id: replay(fixture, words, split(ids, s, special=control)) for s in DEFAULT_STRATEGIES}
    whole = replay(fixture, words, [ids])
    rows = run_checks(fixture, load_families()[fixture.family], Observation(whole, streams))
    misses = [(row.check, row.strategy, row.detail) for row in rows if row.status is not Status.PASS]
    if fixture.id in KEPT:
        assert {check for check, _, _ in misses} == {"expected_match", "no_leakage"}
        assert fixture.raw_output.endswith(whole.content or "-")
        assert all(stream == whole for stream in streams.values())
    else:
        assert case_status(rows) is Status.PASS, misses


def test_at_least_95_of_100_recorded_outputs_pass() -> None:
    assert len(KEPT) / len(load_fixtures(None, families=list(FAMILIES))) <= 0.05


def call(name: str, arguments: str) -> str:
    return f'<tool_call>\n{{"name": "{name}", "arguments": {arguments}}}\n</tool_call>'


PARIS = call("get_weather", '{"city": "Paris"}')
TOKYO = call("get_weather", '{"city": "Tokyo"}')
NINE = call("record_answer", '{"answer": "9.9"}')
EVENT = """{"title": "Design review", "start": "2026-10-01T15:00:00Z", "attendees": [{"name": "Ana", "email":
"ana@example.com"}, {"name": "Bo", "email": "bo@example.com"}], "location": {"city": "Berlin", "room": "4.12"}}"""
NOTE = '{"title": "Grüße aus Zürich", "body": "Café ☕ in 東京 — naïve résumé 🚀"}'
SCRIPT = [
    ("temp_c", "It is 18 °C and clear in Paris."),
    ("right now", PARIS),
    ("Tokyo", f"Both at once.\n{PARIS}\n{TOKYO}"),
    ("17 + 25", "42"),
    ("Design review", call("create_event", EVENT)),
    ("Grüße", call("save_note", NOTE)),
    ("on the server", call("get_server_time", "{}")),
    ("Lisbon", call("get_weather", '{"city": "Lisbon"}')),
    ("9.11", f"<think>\n9.9 is larger than 9.11.\n</think>\n\n{NINE}"),
]


@pytest.mark.model
async def test_the_probe_passes_over_a_socket(student_folder: Path, tmp_path: Path, free_port: int) -> None:
    """All is real but the choice of tokens: template, tokenizer, reader, frames, HTTP."""
    served = ServedModel("scripted", thinking(student_folder, tmp_path))
    served.generator = ScriptedGenerator(served.folder, served.renderer, SCRIPT)
    await served.open()
    server = Server(create_app(served), port=free_port, interface=Interfaces.ASGINL, log_enabled=False)
    serving = asyncio.create_task(server.serve())
    await listening(free_port)
    report = await asyncio.to_thread(probe, f"http://127.0.0.1:{free_port}/v1", "scripted", timeout_s=20)
    server.stop()
    await serving
    await served.close()
    assert [(o.scenario_id, o.stream, o.detail) for o in report.outcomes if o.status != "pass"] == []
    assert not any(o.warnings for o in report.outcomes)
    assert len(report.outcomes) == 3 * len(BUILTIN_SCENARIOS)
    reasoned = [o.observed.reasoning_content for o in report.outcomes if o.observed and "reasoning" in o.scenario_id]
    assert reasoned == ["9.9 is larger than 9.11."] * 2


async def listening(port: int) -> None:
    async with asyncio.timeout(10):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.02)
            else:
                writer.close()
                return


def thinking(folder: Path, place: Path) -> Path:
    """The same model with a template that knows thoughts."""
    copy = place / "thinking"
    copy.mkdir()
    for file in folder.iterdir():
        (copy / file.name).symlink_to(file)
    template = (folder / "chat_template.jinja").read_text()
    (copy / "chat_template.jinja").unlink()
    (copy / "chat_template.jinja").write_text(template + "{# <think></think> #}")
    return copy
