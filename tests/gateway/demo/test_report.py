"""The demo's report: well-formed, self-contained, complete, and calm about what is missing or hostile."""

from __future__ import annotations

import copy
import io
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import pytest
from rich.console import Console

from gateway.demo.report import print_table, render_html

VOID = {"meta", "link", "br", "hr", "img"}
HOSTILE = '</style><script>alert(\'x\')</script><img src="http://evil.example/a.png" onerror="go()">[bold]&amp;\ud800'


def arm(model: str, shares: tuple[float, float, float], seconds: float, memory: float) -> dict[str, Any]:
    names = ("autonomous_tool_use", "exact_calls", "right_answers")
    return {
        **dict(zip(names, shares, strict=True)),
        "intervals": {n: [max(0, s - 0.07), min(1, s + 0.06)] for n, s in zip(names, shares, strict=True)},
        "median_seconds": seconds,
        "peak_memory_gb": memory,
        "items": 96,
        "model": model,
        "needless_calls": 0.17,
        "categories": {
            name: {"exact_calls": max(0, shares[1] - 0.03 * place), "right_answers": shares[2], "items": 19 + place}
            for place, name in enumerate(("analysis", "edge", "multi_step", "negative", "search"))
        },
    }


def attempt(*calls: str, answer: str, right: bool) -> dict[str, Any]:
    return {"calls": list(calls), "answer": answer, "right": right}


REPORT: dict[str, Any] = {
    "base": arm("smollm2-135m", (0.06, 0.01, 0.03), 4.91, 1.31),
    "adapter": arm("smollm2-135m-0a1b2c3d4e5f", (0.93, 0.72, 0.57), 2.13, 1.37),
    "teacher": arm("expert", (1.0, 0.99, 0.98), 0.04, 0.11),
    "student_share_day2": 0.696,
    "wall_seconds": 812.3,
    "seed": 20261123,
    "certified": False,
    "verdict": {"passed": True, "reasons": [], "gained": 68, "lost": 1, "p_value": 1.2e-19},
    "training": {
        "examples": 644,
        "steps": 48,
        "seconds": 301.2,
        "examples_per_second": 2.43,
        "first_loss": 1.614,
        "last_loss": 0.062,
        "peak_memory_bytes": 4_120_000_000,
        "losses": [1.614 * 0.93**step + 0.05 for step in range(48)],
        "dropped": {"ungrounded": 3, "duplicate": 11},
    },
    "days": {
        "first": {
            "questions": 800,
            "requests": 1630,
            "student_requests": 58,
            "reasons": {"doubtful": 1210, "unverified": 240, "holdout": 122, "verified": 58},
            "right_answers": 0.94,
            "median_seconds": 3.17,
        },
        "second": {
            "questions": 36,
            "requests": 102,
            "student_requests": 71,
            "reasons": {"verified": 71, "doubtful": 20, "unverified": 5, "sticky": 4, "holdout": 2},
            "right_answers": 0.81,
            "median_seconds": 1.23,
        },
    },
    "phases": {"day 1: agents at work": 141.2, "training": 301.2, "examination": 170.4, "day 2: agents at work": 80.1},
    "repositories": {
        "taught": ["rich", "click"],
        "examined": ["litestar", "openai", "msgspec", "attr"],
        "day2": ["granian"],
    },
    "samples": [
        {
            "question": "Which classes subclass BaseRoute?",
            "repository": "litestar",
            "category": "search",
            "base": attempt(answer="You can use the `grep` command. " * 30, right=False),
            "adapter": attempt(
                'run_command {"command": "grep", "args": ["-rnE", "class \\\\w+\\\\(.*BaseRoute", "."]}',
                answer="ASGIRoute, HTTPRoute and WebSocketRoute.",
                right=True,
            ),
            "teacher": attempt('run_command {"command": "grep"}', 'read_file {"path": "a.py"}', answer="", right=True),
        }
    ],
    "versions": {"nightschool": "0.1.0", "mlx": "0.32.4"},
    "machine": "2 × x86_64, Linux",
}


class Page(HTMLParser):
    """Reads a page and fails where a tag is left open or closed out of turn."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def spoil(tree: Any) -> Any:
    """The same report with every text hostile, keys of free choice included."""
    if isinstance(tree, str):
        return HOSTILE
    if isinstance(tree, list):
        return [spoil(item) for item in tree]
    if not isinstance(tree, dict):
        return tree
    free = {"reasons", "categories", "dropped", "phases", "versions"}
    return {
        key: {f"{HOSTILE}{inner}": spoil(leaf) for inner, leaf in value.items()}
        if key in free and isinstance(value, dict)
        else spoil(value)
        for key, value in tree.items()
    }


def paths(tree: dict[str, Any], before: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for key, value in tree.items():
        yield (*before, key)
        if isinstance(value, dict):
            yield from paths(value, (*before, key))


def without(path: tuple[str, ...], put: Any = ...) -> dict[str, Any]:
    report = copy.deepcopy(REPORT)
    inner = report
    for key in path[:-1]:
        inner = inner[key]
    del inner[path[-1]]
    if put is not ...:
        inner[path[-1]] = put
    return report


def printed(report: dict[str, Any], width: int = 120) -> str:
    out = io.StringIO()
    print_table(Console(file=out, width=width, color_system=None), report)
    return out.getvalue()


def test_the_page_is_well_formed_and_fetches_nothing() -> None:
    page = render_html(REPORT)
    tags = Page(page).tags
    assert {tag for tag, _ in tags}.isdisjoint({"script", "img", "iframe", "object", "a"})
    assert {link["href"] for tag, link in tags if tag == "link"} == {"data:,"}
    assert not re.search(r"https?:|//[a-z]|@import|url\(", page)
    assert "prefers-color-scheme: dark" in page


def test_the_page_tells_every_number() -> None:
    text = Page(render_html(REPORT)).text
    shares = [
        "6 %",
        "93 %",
        "100 %",
        "72 %",
        "99 %",
        "57 %",
        "98 %",
        "86–99 %",
        "65–78 %",
        "17 %",
        "70 %",
        "4 %",
        "81 %",
    ]
    amounts = ["4.91 s", "2.13 s", "0.04 s", "1.31 GB", "1.37 GB", "0.11 GB", "3.17 s", "1.23 s", "4.12 GB", "301.2 s"]
    training = ["644", "48", "2.43", "1.614", "0.062", "ungrounded 3, duplicate 11", "812.3 s", "20261123"]
    days = [
        "800 questions",
        "1630 requests",
        "58 of them",
        "1210",
        "240",
        "122",
        "102 requests",
        "71 of them",
        "sticky",
    ]
    verdict = ["gained 68 exact questions and lost 1", "p = 1.2e-19", "96 questions from 4 repositories"]
    targets = ["> 80 %", "> 90 %", "< 20 s", "< 8 GB"]
    others = [
        "litestar, openai, msgspec, attr",
        "mlx 0.32.4",
        "2 × x86_64, Linux",
        "smollm2-135m-0a1b2c3d4e5f",
        "141.2 s",
    ]
    for expected in shares + amounts + training + days + verdict + targets + others:
        assert expected in text, expected


def test_the_page_says_what_the_numbers_do_not() -> None:
    text = Page(render_html(REPORT)).text
    assert "certified: false. What the student serves has no guarantee yet." in text
    assert "The teacher is “the expert” , a stand-in" in text
    assert "its seconds and its memory are a program's, not a model's" in text


def test_there_are_four_plots_and_each_has_a_name() -> None:
    plots = [attributes for tag, attributes in Page(render_html(REPORT)).tags if tag == "svg"]
    assert len(plots) == 4
    assert all(plot["role"] == "img" and plot["aria-label"] for plot in plots)


def test_samples_stand_side_by_side() -> None:
    text = Page(render_html(REPORT)).text
    for expected in ("Which classes subclass BaseRoute?", "✗ wrong", "✓ right", "no tool call", "no answer", '"-rnE"'):
        assert expected in text, expected
    assert "more characters)" in text


def test_hostile_text_stays_text() -> None:
    page = render_html(spoil(REPORT))
    page.encode()
    tags = Page(page).tags
    assert {tag for tag, _ in tags}.isdisjoint({"script", "img"})
    assert not any(name.startswith("on") for _, attributes in tags for name in attributes)
    assert page.count("</style>") == 1
    assert "[bold]&amp;amp;" in page


@pytest.mark.parametrize("put", [..., None, {}, []], ids=["missing", "null", "empty object", "empty list"])
def test_any_key_may_be_absent_or_empty(put: Any) -> None:
    for path in paths(REPORT):
        report = without(path, put)
        Page(render_html(report))
        printed(report)


def test_an_empty_report_is_a_page_without_plots() -> None:
    page = Page(render_html({}))
    assert "svg" not in {tag for tag, _ in page.tags}
    assert "certified: false" in page.text
    assert "Autonomous tool use" in printed({})


def test_days_without_reasons_still_show_who_answered() -> None:
    report = copy.deepcopy(REPORT)
    for day in report["days"].values():
        del day["reasons"]
    titles = Page(render_html(report)).text
    assert "day 2, student: 71 of 102" in titles
    assert "day 2, teacher: 31 of 102" in titles


def test_an_adapter_that_failed_is_said_to_have_failed() -> None:
    report = {**REPORT, "verdict": {"passed": False, "reasons": ["fewer right answers than the base (3 < 9)"]}}
    for told in (Page(render_html(report)).text, printed(report)):
        assert "did not pass" in told
        assert "fewer right answers than the base (3 < 9)" in told


def test_the_terminal_shows_the_closing_table() -> None:
    told = printed(REPORT)
    rows = {
        line.split("│")[1].strip(): [cell.strip() for cell in line.split("│")[2:6]]
        for line in told.splitlines()
        if line.startswith("│")
    }
    assert rows == {
        "Requests the student served": ["4 %", "70 %", "–", ""],
        "Autonomous tool use": ["6 %", "93 %", "100 %", "> 80 %"],
        "Exact calls": ["1 %", "72 %", "99 %", ""],
        "Final answers right": ["3 %", "57 %", "98 %", "> 90 %"],
        "Median seconds": ["4.91 s", "2.13 s", "0.04 s", "< 20 s"],
        "Peak memory": ["1.31 GB", "1.37 GB", "0.11 GB", "< 8 GB"],
    }
    assert "certified: false" in told
    assert "a program's, not a model's" in told


def test_the_terminal_takes_no_markup_from_data() -> None:
    report = {**REPORT, "verdict": {"passed": False, "reasons": ["[red]boo[/red] [/nothing]"]}}
    assert "[red]boo[/red] [/nothing]" in printed(report)
