"""The exploring agent's own vocabulary: what is said and shown stays as it is."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from distill.errors import ToolError
from distill.generate.templates import Call
from distill.tools import SPECS
from distill.vocabularies.commandlines import Wanted
from distill.vocabularies.vocabulary import Vocabulary
from router.chat import Tool

NAME = "explore"
_OWN = frozenset(tool.function.name for tool in SPECS)


class _Own(Vocabulary):
    def offered(self, withheld: Collection[str] = ()) -> list[Tool]:
        return [tool for tool in SPECS if tool.function.name not in withheld]

    def able(self, names: Collection[str]) -> frozenset[str]:
        return _OWN.intersection(names)

    def spoken(self, call: Call) -> Call | None:
        return call if call.name in _OWN else None

    def wanted(self, tool: str, arguments: dict[str, Any]) -> Wanted:
        if tool not in _OWN:
            raise ToolError(f"there is no tool {tool!r}")
        return Wanted(Call(tool, arguments))

    def printed(self, tool: str, wanted: Wanted, result: str) -> str:
        return result

    def read(self, call: Call, shown: str) -> str:
        return shown


EXPLORE = _Own(NAME, "The exploring agent's own tools", [], error="error: {text}", cut="")
