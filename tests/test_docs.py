"""The pages say what the code does: every setting, command, route, error and reason is named, and nothing else is."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path
from typing import Any, get_args

import click
import msgspec
import pytest
import typer.main

from distill.dataset import Mixture
from distill.dataset.fates import STAGES
from distill.filters import CHECKS, REASONS, Rules
from distill.train.recipe import Recipe
from gateway import cli, sections, settings
from gateway.engine import errors as engine_errors
from gateway.errors import TABLE
from router.decision import Reason

ROOT = Path(__file__).resolve().parent.parent
PAGES = [
    *(ROOT / name for name in ("README.md", "CHANGELOG.md", "data/README.md", "models/README.md")),
    *sorted((ROOT / "docs").glob("*.md")),
]


def _commands(group: Any, before: str = "") -> dict[str, click.Command]:
    """Every command by its words; a group such as `models` by those of its commands."""
    found: dict[str, click.Command] = {}
    for name, command in group.commands.items():
        inner = hasattr(command, "commands")
        found |= _commands(command, f"{before}{name} ") if inner else {f"{before}{name}": command}
    return found


COMMANDS = _commands(typer.main.get_command(cli.app))
SECTIONS = ("gateway", "student", "teacher", "router", "canary", "night", "traces", "telemetry")

_ROUTE = re.compile(r'^@(get|post|put|patch|delete|asgi)\(\s*"(/[^"]*)"', re.MULTILINE)
_INNER_ROUTE = re.compile(_ROUTE.pattern.replace("^@", r"^\s+@"), re.MULTILINE)
_DOCUMENTED_ROUTE = re.compile(r"`(GET|POST|PUT|PATCH|DELETE) (/[^`]*)`")


def page(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def part(text: str, heading: str) -> str:
    """What stands under the first heading that contains `heading`, up to the next of the same depth or above."""
    found = re.search(rf"^(#+) [^\n]*{re.escape(heading)}[^\n]*\n", text, re.MULTILINE)
    assert found, f"there is no heading with {heading!r}"
    rest = text[found.end() :]
    following = re.search(rf"^#{{1,{len(found[1])}}} ", rest, re.MULTILINE)
    return rest[: following.start()] if following else rest


def rows(text: str) -> dict[str, list[str]]:
    """The rows of a part's first table whose first cell is `code`, by that code; the other cells."""
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in text.splitlines() if line[:1] == "|"]
    return {row[0].strip("| `"): [cell.strip("| ") for cell in row[1:]] for row in cells if "`" in row[0]}


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def code(text: str) -> str:
    """Everything that is written as code: blocks and spans, a line each."""
    inside = re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    spans = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))
    return "\n".join([*inside, *spans])


@pytest.mark.parametrize("section", SECTIONS)
def test_every_setting_is_documented_with_its_default(section: str) -> None:
    default = getattr(sections.Settings(), section)
    documented = rows(part(page("docs/settings.md"), f"[{section}]"))
    assert documented.keys() == set(default.__struct_fields__)
    for key, (told, *_) in documented.items():
        assert told.strip("`") == msgspec.json.encode(getattr(default, key)).decode(), f"{section}.{key}"


def test_every_section_and_profile_is_documented() -> None:
    text = page("docs/settings.md")
    alone = rows(part(text, "Top level")).keys()
    assert {*alone, *SECTIONS} == set(sections.Settings.__struct_fields__)
    assert rows(part(text, "Profiles")).keys() == sections.PROFILES.keys()


@pytest.mark.parametrize("name", ["README.md", "docs/settings.md"])
def test_settings_in_examples_are_valid(name: str, tmp_path: Path) -> None:
    examples = blocks(page(name), "toml")
    assert examples
    for number, example in enumerate(examples):
        file = tmp_path / f"{number}.toml"
        file.write_text(example)
        settings.check_servable(settings.load(file, environment={}))


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_and_option_is_documented(name: str) -> None:
    text = part(page("docs/commands.md"), f"nightschool {name}")
    documented = rows(text).keys()
    assert documented == {_told(parameter) for parameter in COMMANDS[name].params if not _hidden(parameter)}


def test_no_command_is_documented_that_is_not_there() -> None:
    told = re.findall(r"^## nightschool ([\w-]+(?: \w+)?)", page("docs/commands.md"), re.MULTILINE)
    assert sorted(told) == sorted(COMMANDS)


def _told(parameter: click.Parameter) -> str:
    option = isinstance(parameter, click.Option) or parameter.param_type_name == "option"
    return parameter.opts[0] if option else str(parameter.name).upper()


def _hidden(parameter: click.Parameter) -> bool:
    return bool(getattr(parameter, "hidden", False)) or parameter.name == "help"


def test_every_route_of_the_gateway_is_documented_and_no_other() -> None:
    found = set()
    for file in sorted((ROOT / "gateway/api").rglob("*.py")):
        prefix = "/admin" if file.stem == "admin" else ""
        found |= {f"{_method(verb)} {prefix}{_path(path)}" for verb, path in _ROUTE.findall(file.read_text())}
    documented = rows(part(page("docs/http.md"), "Routes"))
    assert found == documented.keys()


def test_every_route_of_engine_and_expert_is_documented_and_no_other() -> None:
    text = part(page("docs/http.md"), "An engine's own wire")
    routes = _ROUTE.findall((ROOT / "gateway/engine/app.py").read_text())
    assert {f"{_method(verb)} {_path(path)}" for verb, path in routes} == {r for r in rows(text) if " " in r}
    source = (ROOT / "gateway/expert.py").read_text()
    of_expert = {f"{_method(verb)} {path}" for verb, path in [*_ROUTE.findall(source), *_INNER_ROUTE.findall(source)]}
    told = text[text.index("The expert,") :]
    assert of_expert == {" ".join(route) for route in _DOCUMENTED_ROUTE.findall(told)}


def _method(verb: str) -> str:
    return "POST" if verb == "asgi" else verb.upper()


def _path(path: str) -> str:
    return re.sub(r"\{(\w+):\w+\}", r"{\1}", path)


def test_every_error_code_is_documented() -> None:
    text = page("docs/http.md")
    ours = {(str(status), code) for status, _, code in TABLE.values() if code}
    of_engine = {(str(status), code) for status, _, code in engine_errors.TABLE.values() if code}
    for heading, wanted in (("Errors", ours), ("An engine's own wire", of_engine)):
        lines = [line for line in part(text, heading).splitlines() if line.startswith("|")]
        missing = [row for row in wanted if not any(row[0] in line and f"`{row[1]}`" in line for line in lines)]
        assert not missing


def test_every_header_is_documented() -> None:
    named = set()
    for file in (ROOT / "gateway").rglob("*.py"):
        named |= set(re.findall(r"x-nightschool-[a-z-]*[a-z]", file.read_text()))
    assert named
    assert not [header for header in named if f"`{header}`" not in page("docs/http.md")]


def test_every_reason_is_documented_and_no_other() -> None:
    assert rows(part(page("docs/http.md"), "Reasons")).keys() == set(get_args(Reason))


def test_every_filter_is_documented_and_no_other() -> None:
    text = page("docs/filters.md")
    assert {code: told[0].strip("`") for code, told in rows(part(text, "Reasons")).items()} == REASONS
    assert list(rows(part(text, "Checks"))) == list(CHECKS)


def test_every_rule_of_the_filters_is_documented_with_its_default() -> None:
    documented = rows(part(page("docs/filters.md"), "Rules"))
    assert {rule: told.strip("`") for rule, (told, *_) in documented.items()} == {
        rule: msgspec.json.encode(value).decode() for rule, value in msgspec.to_builtins(Rules()).items()
    }


def test_the_recipe_is_documented_with_its_defaults() -> None:
    documented = rows(part(page("docs/night.md"), "The recipe"))
    assert {key: told for key, (told, *_) in documented.items()} == {
        key: f"{value}" for key, value in msgspec.to_builtins(Recipe()).items()
    }


def test_the_mixture_and_its_reasons_are_documented() -> None:
    documented = rows(part(page("docs/night.md"), "Dataset"))
    reasons = {name for row in documented for name in row.split("`, `")}
    defaults = msgspec.to_builtins(Mixture())
    assert {key: float(documented[key][0]) for key in defaults} == defaults
    left = {fate for stage, fates in STAGES.items() if stage not in ("undecided", "kept") for fate in fates}
    assert reasons == {*defaults, *left}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text(encoding="utf-8")):
        if target.startswith("https://"):
            continue
        name, _, anchor = target.partition("#")
        file = (path.parent / name).resolve() if name else path
        assert file.exists(), target
        assert not anchor or anchor in _anchors(file.read_text(encoding="utf-8")), target


def _anchors(text: str) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_commands_in_pages_exist(path: Path) -> None:
    written = code(path.read_text(encoding="utf-8"))
    targets = set(re.findall(r"^([a-z-]+):", page("Makefile"), re.MULTILINE))
    assert set(re.findall(r"^make ([a-z][a-z-]*)", written, re.MULTILINE)) <= targets
    for name, rest in re.findall(r"^(?:\.venv/bin/)?nightschool ([a-z-]+)(.*)$", written, re.MULTILINE):
        word = f"{name} {rest.split()[0]}" if rest.split() and name not in COMMANDS else name
        assert word in COMMANDS, f"nightschool {word}"
        known: set[str] = {option for parameter in COMMANDS[word].params for option in parameter.opts}
        assert {*re.findall(r"(?<=\s)--[a-z-]+", rest.partition("#")[0])} <= known, rest


def test_make_commands_are_documented() -> None:
    targets = set(re.findall(r"^([a-z-]+):.* ## ", page("Makefile"), re.MULTILINE)) - {"help"}
    assert {row.removeprefix("make ") for row in rows(part(page("docs/commands.md"), "make"))} == targets


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_python_in_pages_is_python(path: Path) -> None:
    for example in blocks(path.read_text(encoding="utf-8"), "python"):
        ast.parse(example)


def test_benchmarks_are_documented() -> None:
    from tests.bench.__main__ import BENCHES

    names: dict[str, Any] = dict(BENCHES)
    assert rows(page("docs/benchmarks.md")).keys() == names.keys()


def test_the_clients_that_were_run_have_the_versions_that_are_installed() -> None:
    """Whoever takes another version runs it, and says so."""
    told = part(page("docs/agents.md"), "What was run")
    fetched = msgspec.json.decode(page("tests/clients/agents/package.json"))["dependencies"]
    locked = {one["name"]: one["version"] for one in tomllib.loads(page("uv.lock"))["package"]}
    packages = ("openai", "anthropic", "openai-agents", "pydantic-ai-slim", "langchain", "langchain-openai")
    aider = page("tests/clients/agents/aider.txt").split()[0].partition("==")[2]
    for version in (*fetched.values(), *(locked[name] for name in packages), aider):
        assert version in told
