"""The page: well-formed, self-contained, complete, and calm about what is hostile."""

from __future__ import annotations

import io
import re
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from gateway.morning.gathering import gather
from gateway.morning.morning import Morning
from gateway.morning.page import render
from gateway.morning.tables import tell
from tests.gateway.morning.evenings import (
    DAY,
    NOW,
    add_adapter,
    add_dataset,
    add_day,
    add_night,
    go_live,
    home_in,
    marks,
    verdict_on,
)

HOSTILE = '</style><script>alert(\'x\')</script><img src="http://evil.example/a.png" onerror="go()">[bold]&amp;\x1b[31m'
VOID = {"meta", "link", "br", "hr", "img"}


class Page(HTMLParser):
    """Tags and text of a page that closes what it opens."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID and not (self.get_starttag_text() or "").endswith("/>"):
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture
async def full(tmp_path: Path) -> Morning:
    """A home with everything in it, and hostile words wherever somebody else writes them."""
    home = home_in(tmp_path)
    old = add_adapter(home, verdict_on(marks(24)))
    add_night(home, "promoted", began=NOW - 3 * DAY, candidates=[old], watermark=10)
    add_night(home, "refused", HOSTILE, began=NOW - 2 * DAY, candidates=[add_adapter(home, verdict_on(marks(3)))])
    sat = {"served": marks(24), "teacher": marks(38)}
    mine = add_adapter(home, verdict_on(marks(32), sat["served"]), sat)
    whole = add_dataset(home, [1, 1, 0])
    add_night(
        home,
        "promoted",
        candidates=[mine, msgspec.structs.replace(mine, adapter=HOSTILE, parent=HOSTILE)],
        datasets={"whole": whole},
        dropped={HOSTILE: 3, "loop": 2},
        conversations=40,
        new=7,
    )
    go_live(home, HOSTILE, before=HOSTILE)
    for ago in (3, 2, 0):
        await add_day(home, ago, student=2, teacher=6)
    (home.models / "router.json").write_text(f'{{"a": "{"<script>"}"}}')
    return await gather(home, "", 14, NOW)


def test_the_page_is_well_formed_and_fetches_nothing(full: Morning) -> None:
    page = render(full)
    tags = Page(page).tags
    assert {tag for tag, _ in tags}.isdisjoint({"script", "img", "iframe", "object", "a"})
    assert {link["href"] for tag, link in tags if tag == "link"} == {"data:,"}
    assert not re.search(r'(?:src|href)="https?:|@import|url\(', page)
    assert not any(name.startswith("on") for _, attributes in tags for name in attributes)


def test_hostile_names_are_shown_and_do_nothing(full: Morning) -> None:
    page = render(full)
    assert "<script>" not in page
    assert "\x1b" not in page
    text = Page(page).text
    assert "<script>alert('x')</script>" in text
    assert "[bold]" in text


def test_the_page_has_every_part(full: Morning) -> None:
    text = Page(render(full)).text
    assert full.night is not None
    for words in (
        "60 → 80 %",
        "What to look at",
        "What came in",
        "loop (a call was repeated",
        "What was learnt",
        full.night.candidates[0].adapter,
        "80 % (65–90)",
        "autonomous tool use",
        "What serves",
        "The days",
        "2026-11-24",
        "25 %",
        "The nights",
        "What could not be read",
    ):
        assert words in text


def test_the_plots_mark_nights_and_promotions(full: Morning) -> None:
    page = render(full)
    assert len(re.findall(r"<title>night of 2026", page)) == 3
    digests = [night.record.chosen.rpartition("-")[2] for night in full.nights if night.record.outcome == "promoted"]
    assert len(digests) == 2
    assert all(f">{digest}</text>" in page for digest in digests)
    assert page.count("<polyline") == 2  # there is a day without requests
    assert 'aria-label="Exact calls by night"' in page
    assert "served: 60 %" in page


async def test_a_home_without_anything_has_a_kind_page(tmp_path: Path) -> None:
    text = Page(render(await gather(home_in(tmp_path), "", 14, NOW))).text
    assert "Good morning. There is nothing to tell yet" in text


async def test_days_alone_have_a_page(tmp_path: Path) -> None:
    home = home_in(tmp_path)
    await add_day(home, 0, teacher=1)
    text = Page(render(await gather(home, "", 366, NOW))).text
    assert "There was none yet." in text


def test_the_terminal_tells_the_same_and_takes_no_orders(full: Morning) -> None:
    out = io.StringIO()
    tell(full, Console(file=out, width=200, color_system=None))
    told = out.getvalue()
    assert "\x1b" not in told
    for words in ("60 → 80 % exact calls", "What serves", "The days", "[bold]", "autonomous tool use", "2026-11-24"):
        assert words in told
