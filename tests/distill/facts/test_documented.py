"""docs/facts.md says all that there is to know of facts."""

import re
from pathlib import Path

from distill.facts import Facts, Limits, Passed

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "facts.md").read_text(encoding="utf-8")
NO_KIND = {"repository", "texts", "skipped", "passed"}


def rows(heading: str) -> list[str]:
    section = PAGE.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    return re.findall(r"^\| ([^|]+) \|", section, re.MULTILINE)[1:]


def test_every_reason_to_pass_over_something_is_told() -> None:
    assert sorted(rows("What is passed over")) == sorted(Passed)


def test_every_kind_of_fact_is_told() -> None:
    told = {row.strip("`") for row in rows("What is known")}
    assert told == {*Facts.__struct_fields__, "usages"} - NO_KIND


def test_the_limits_are_told() -> None:
    limits = Limits()
    assert (limits.file_bytes, limits.files, limits.bytes) == (1_000_000, 50_000, 100_000_000)
    assert all(told in PAGE for told in ("| 1 MB |", "| 50 000 |", "| 100 MB |"))
