"""The line of a notification, and the sentences of the report, for every way a night may end."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from distill.filters import REASONS
from distill.night.diary import Outcome
from gateway.morning.gathering import gather
from gateway.morning.morning import Morning
from gateway.morning.reasons import WORDS, in_words
from gateway.morning.sentences import LINE, came_in, dropped, headline, learnt, saved, serves_now
from gateway.settings import Home
from tests.gateway.morning.evenings import (
    DAY,
    NOW,
    add_adapter,
    add_day,
    add_night,
    go_live,
    home_in,
    marks,
    verdict_on,
)

DOCS = Path(__file__).resolve().parents[3] / "docs"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return home_in(tmp_path)


async def look(home: Home) -> Morning:
    return await gather(home, "", 14, NOW)


async def test_a_promotion_in_a_line(home: Home) -> None:
    mine = add_adapter(home, verdict_on(marks(32), marks(24)))
    add_night(home, "promoted", candidates=[mine])
    await add_day(home, 1, student=43, teacher=57)
    line = headline(await look(home))
    assert line == f"promoted {mine.adapter}: 60 → 80 % exact calls; the student answered 43 % yesterday"


async def test_a_refusal_in_a_line(home: Home) -> None:
    mine = add_adapter(home, verdict_on(marks(24), marks(24), base=23))
    add_night(home, "refused", "no better", candidates=[mine])
    go_live(home, "small-served")
    assert headline(await look(home)) == (
        f"refused {mine.adapter}: 60 → 60 % exact calls; small-served serves as before"
    )


async def test_one_that_passed_and_does_not_serve(home: Home) -> None:
    mine = add_adapter(home, verdict_on(marks(32)))
    add_night(home, "refused", "not proposed: another canary runs", candidates=[mine])
    assert "passed: 5 → 80 % exact calls, and does not serve: not proposed" in headline(await look(home))


async def test_a_canary_in_a_line(home: Home) -> None:
    mine = add_adapter(home, verdict_on(marks(32)))
    add_night(home, "canary", candidates=[mine])
    assert headline(await look(home)) == f"{mine.adapter} is a canary now: 5 → 80 % exact calls"


@pytest.mark.parametrize(
    ("conversations", "told"),
    [(40, "nothing new to learn; small-1 serves as before"), (0, "nothing learnt: too few; small-1 serves as before")],
)
async def test_nothing_learnt_in_a_line(home: Home, conversations: int, told: str) -> None:
    add_night(home, "nothing", "too few", conversations=conversations)
    go_live(home, "small-1")
    assert headline(await look(home)) == told


@pytest.mark.parametrize(
    ("ago", "reason", "told"),
    [
        (0.2, "disk full", "cut short during 'train': disk full; goes on when started again"),
        (0.2, "", "not over during 'train': still at work, stopped or killed; goes on when started again"),
        (3.0, "disk full", "cut short during 'train': disk full; too old to be gone on with"),
    ],
)
async def test_a_night_that_is_not_over_in_a_line(home: Home, ago: float, reason: str, told: str) -> None:
    add_night(home, "", reason, began=NOW - ago * DAY, stages=("label", "filter"))
    assert headline(await look(home)) == told


async def test_no_night_in_a_line(home: Home) -> None:
    await add_day(home, 1, student=1)
    assert headline(await look(home)) == "no night yet; the base serves; the student answered 100 % yesterday"


@pytest.mark.parametrize("outcome", ["promoted", "canary", "refused", "nothing", "partial", ""])
async def test_the_line_is_one_and_short_whatever_stands_in_it(home: Home, outcome: Outcome) -> None:
    mine = add_adapter(home, verdict_on(marks(32), marks(24)))
    long = "\x1b[31mno\nbetter\t" * 90
    add_night(home, outcome, long, candidates=[msgspec.structs.replace(mine, adapter=long)])
    go_live(home, long)
    await add_day(home, 1, student=1)
    line = headline(await look(home))
    assert 0 < len(line) <= LINE
    assert line.isprintable()


async def test_what_came_in_is_told_with_reasons_in_words(home: Home) -> None:
    add_night(home, "nothing", began=NOW - DAY, watermark=10)
    add_night(home, "promoted", watermark=60, conversations=40, new=7, dropped={"loop": 2, "ungrounded": 9, "new": 1})
    night = (await look(home)).night
    assert night is not None
    assert came_in(night) == [
        "50 traces came since the night before; 40 conversations passed the filters, 7 of them new.",
        "Dropped: 12 conversations.",
    ]
    assert dropped(night) == [
        ("ungrounded (the answer names a path, line or symbol that was not seen)", 9),
        ("loop (a call was repeated repeats times)", 2),
        ("new", 1),
    ]


def test_every_reason_has_the_words_of_the_page_on_filters() -> None:
    assert WORDS.keys() == REASONS.keys()
    page = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", (DOCS / "filters.md").read_text())
    for reason, words in WORDS.items():
        assert any(words in row for row in re.findall(rf"^\| `{reason}` \|.*$", page, re.MULTILINE)), reason
        assert in_words(reason).startswith(f"{reason} (")


async def test_the_comparison_with_what_serves_is_told_in_words(home: Home) -> None:
    mine = add_adapter(home, verdict_on(marks(32), marks(24)))
    add_night(home, "promoted", candidates=[mine])
    night = (await look(home)).night
    assert night is not None
    told = " ".join(learnt(night.candidates[0]))
    for words in (
        "Trained from the base",
        "passed the examination of 40 questions",
        "gained 30 exact calls and lost 0",
        "Beside small-served, which served, it gained 8 exact calls and lost 0",
        "0.39 %",  # by chance: 1 in 256
        "at most 0.36 %",
        "+20.0 points",
        "down to -5.0 points",
        "no fewer exact calls, and surely not much worse",
    ):
        assert words in told


async def test_what_serves_is_told(home: Home) -> None:
    adapter = add_adapter(home, None).adapter
    go_live(home, adapter, before="small-old")
    told = serves_now(await look(home))
    assert told[0].startswith(f"{adapter} serves since 2026-11-27")
    assert "Before, small-old served." in told
    assert "No gateway runs, so nobody tells of a canary." in told
    assert told[-1].startswith("There is no certificate")
    assert serves_now(await look(home_in(home.data.parent / "other")))[0] == "The base serves."


async def test_savings_are_told_as_an_estimate_or_not_at_all(home: Home) -> None:
    assert "saved nothing" in saved(await look(home))[0]
    await add_day(home, 1, student=2)
    assert "not known" in saved(await look(home))[0]
    await add_day(home, 1, teacher=1)
    (told,) = saved(await look(home))
    assert "saved 6 s: an estimate" in told
    assert "200 tokens" in told
