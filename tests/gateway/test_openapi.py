"""The gateway's own page: it names every documented route, refers to nothing that is not there, and needs no key."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
import schemathesis

from gateway.api.openapi import page
from tests.gateway.running import ROOT, Running, Script, new_key

PAGE = msgspec.json.decode(page())


def test_it_names_the_routes_of_the_documentation_and_no_other() -> None:
    table = (ROOT / "docs" / "http.md").read_text().partition("## Routes")[2].partition("\n## ")[0]
    documented = set(re.findall(r"^\| `([A-Z]+ /\S+)` \|", table, re.MULTILINE))
    assert {f"{method.upper()} {path}" for path, methods in PAGE["paths"].items() for method in methods} == documented


def test_it_is_openapi() -> None:
    described = schemathesis.openapi.from_dict(PAGE)
    assert [operation.ok().label for operation in described.get_all_operations()]


def test_everything_it_refers_to_is_there() -> None:
    for reference in _references(PAGE):
        found: Any = PAGE
        for name in reference.removeprefix("#/").split("/"):
            found = found[name]


def _references(part: Any) -> list[str]:
    if isinstance(part, dict):
        own = [part["$ref"]] if isinstance(part.get("$ref"), str) else []
        return own + [found for value in part.values() for found in _references(value)]
    return [found for value in part for found in _references(value)] if isinstance(part, list) else []


@pytest.mark.parametrize("schema", ["ChatRequest", "MessagesRequest", "ResponsesRequest"])
def test_no_wire_forbids_fields_that_it_does_not_know(schema: str) -> None:
    assert PAGE["components"]["schemas"][schema].get("additionalProperties", True) is not False
    assert "extra" not in PAGE["components"]["schemas"][schema]["properties"]


def test_it_needs_no_key(tmp_path: Path, student: Script, teacher: Script) -> None:
    new_key(tmp_path, "agent")
    with Running(tmp_path, student.url, teacher.url) as gateway:
        status, headers, told = gateway.call("/openapi.json", b"", "GET")
        assert (status, headers["content-type"], msgspec.json.decode(told)) == (200, "application/json", PAGE)
