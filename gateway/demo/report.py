"""The demo's report: what its numbers look like, as one self-contained HTML page and as a table in a terminal.

Owns the words around the numbers. Knows nothing of how they were measured: it reads the dictionary that is also
written as report.json, and leaves out whatever that lacks. Everything that comes from data is escaped.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from gateway.demo.numbers import (
    ARMS,
    SHARES,
    Line,
    Measure,
    bar_of,
    branch,
    closing_lines,
    counted,
    dig,
    duration,
    gigabytes,
    items_of,
    line_of,
    number,
    served,
)
from gateway.reports.pieces import NONE, cut, facts, figure, legend, page, shown, table
from gateway.reports.plots import Row, Segment, Series, curve, grouped_bars, percent, plain, stacked_rows

_UNCERTIFIED = "certified: false. What the student serves has no guarantee yet."
_PROGRAM = "The expert is a stand-in for a teacher: its seconds and its memory are a program's, not a model's."
_REASONS = {  # reason of a decision: who answered, and what it means
    "verified": ("student", "the draft was well-formed and confident enough"),
    "doubtful": ("teacher", "the draft was well-formed but not confident enough"),
    "unverified": ("teacher", "the draft was not a valid call or answer"),
    "sticky": ("teacher", "the conversation had already gone to the teacher"),
    "holdout": ("teacher", "part of the random share that always goes to the teacher"),
    "uncertified": ("teacher", "the student may not serve yet"),
    "capability": ("teacher", "only the teacher can serve such a request"),
    "student_failed": ("teacher", "the student's engine did not answer"),
    "requested": ("teacher", "the client asked for this model"),
    "policy": ("teacher", "the settings say so"),
    "student": ("student", "no reasons were recorded"),
    "teacher": ("teacher", "no reasons were recorded"),
}


def render_html(report: dict[str, Any]) -> str:
    """The page: no scripts, nothing fetched. Missing keys leave gaps, never an error."""
    sections = [
        _opening(report),
        _results(report),
        _by_category(report),
        _days(report),
        _training(report),
        _samples(report),
        _provenance(report),
    ]
    return page("Nightschool: two days and a night", sections)


def print_table(console: Console, report: dict[str, Any]) -> None:
    """The closing table, and the sentences without which its numbers would mislead."""
    table = Table(title="Two days and a night", title_justify="left", caption_justify="left")
    table.add_column("")
    for name in ARMS.values():
        table.add_column(name, justify="right")
    table.add_column("target", justify="right")
    for line in closing_lines(report):
        style = {True: "green", False: "yellow", None: ""}[line.met]
        cells = [Text(value) for value, _ in line.cells]
        cells[1].stylize(style)
        table.add_row(Text(line.label), *cells, Text(line.target))
    console.print(table)
    for sentence in (_verdict(report), _examined(report), _PROGRAM, _certified(report)):
        if sentence:
            console.print(Text(sentence))


# The page, section by section ------------------------------------------------------------------------------------


def _opening(report: dict[str, Any]) -> str:
    figures = [
        figure("autonomous tool use", _change(report, "autonomous_tool_use")),
        figure("exact calls", _change(report, "exact_calls")),
        figure("of day 2's requests served by the student", closing_lines(report)[0].cells[1][0]),
        figure("from start to report", duration(dig(report, "wall_seconds"))),
    ]
    return f"""<header><p class="brand">Nightschool</p><h1>Two days and a night</h1>
<p class="lede">By day, agents ask questions about code through one endpoint: a small model, the student, answers what
it can, and its teacher answers everything else. By night, the student studies what the teacher did: the day's
conversations become lessons, a small addition to its weights (the adapter) is trained on them, and an examination on
code it has never seen decides whether that adapter may go to work. This page is the record of one such round: a first
day, a night, and a second day on other code.</p>
<p class="note"><b>{plain(_certified(report))}</b> The shares on this page were
measured in one run; they promise nothing about the next.</p>
<p class="note"><b>The teacher is “the expert”</b>, a stand-in: a program that knows how this demo's questions are made
and looks up their answers with the same tools. Its seconds and its memory are a program's, not a
model's.</p>
<div class="figures">{"".join(figures)}</div></header>"""


def _crowd(report: dict[str, Any]) -> str:
    """When seconds were taken."""
    if not report.get("at_once"):
        return ""
    return f" Seconds are those of whole conversations that went on alone, before {report['at_once']} went on at once."


def _results(report: dict[str, Any]) -> str:
    arms = [arm for arm in ARMS if any(bar_of(dig(report, arm), measure.key) for measure in SHARES)]
    plot = ""
    if arms:
        series = [Series(ARMS[arm], arm, [bar_of(dig(report, arm), measure.key) for measure in SHARES]) for arm in arms]
        title = "Shares of the examination, with 95 % intervals"
        plot = grouped_bars(title, [m.label for m in SHARES], series, [m.target for m in SHARES])
        plot = legend([(one.css, one.name) for one in series] + [("target", "the plan's target")]) + plot
    extra = line_of(report, Measure("needless_calls", "Tool calls where none was needed", "%"))
    models = [plain(dig(report, arm, "model") or "") for arm in ARMS]
    heads = "".join(
        f'<th scope="col"><i class="key {arm}"></i>{plain(ARMS[arm])}<small>{model}</small></th>'
        for arm, model in zip(ARMS, models, strict=True)
    )
    body = "".join(_table_row(line) for line in [*closing_lines(report), extra])
    return f"""<section><h2>What the night changed</h2><p>{plain(_verdict(report))} {plain(_examined(report))}
Numbers under a share are its 95 % interval.</p>{plot}
<div class="plot"><table><thead><tr><th></th>{heads}<th scope="col">target</th></tr></thead>
<tbody>{body}</tbody></table></div>
<p class="small">The targets are the plan's, written for a 7B student beside a 30B teacher; they are shown so that every
report is read against the same marks. For a student as small as the demo's, memory is the
easy one.{plain(_crowd(report))} <em>Autonomous tool use</em>: of the questions that need a tool, how many
led to a call of one, unprompted. <em>Exact calls</em>: the calls made are the right ones, argument for argument.
“Served” counts the untrained student on day 1 and the student of day 2. {plain(_PROGRAM)}</p></section>"""


def _table_row(line: Line) -> str:
    cells = "".join(f"<td>{plain(value)}<small>{plain(small)}</small></td>" for value, small in line.cells)
    words = {True: "met", False: "not met", None: ""}[line.met]
    css = {True: "met", False: "missed", None: ""}[line.met]
    target = f'<td>{plain(line.target)}<small class="{css}">{words}</small></td>'
    return f'<tr><th scope="row">{plain(line.label)}</th>{cells}{target}</tr>'


def _by_category(report: dict[str, Any]) -> str:
    names = list(dict.fromkeys(name for arm in ARMS for name in branch(report, arm, "categories")))
    if not names:
        return ""
    series = [
        Series(ARMS[arm], arm, [bar_of(dig(report, arm, "categories", n), "exact_calls") for n in names])
        for arm in ARMS
    ]
    rows = []
    for name in names:
        cells = [dig(report, arm, "categories", name) for arm in ARMS]
        marks = [shown(number(dig(cell, key)), "%") for key in ("exact_calls", "right_answers") for cell in cells]
        items = next((str(count) for cell in cells if (count := dig(cell, "items")) is not None), NONE)
        rows.append([name.replace("_", " "), items, *marks])
    heads = ["category", "questions", *(f"{what}, {arm}" for what in ("exact", "right") for arm in ARMS.values())]
    plot = grouped_bars("Exact calls by category", [name.replace("_", " ") for name in names], series)
    keys = legend([(one.css, one.name) for one in series])
    return f"""<section><h2>Exact calls by kind of question</h2>{keys}{plot}
<details><summary>The same as a table, with final answers</summary>{table(heads, rows)}</details></section>"""


def _days(report: dict[str, Any]) -> str:
    days = {"day 1": branch(report, "days", "first"), "day 2": branch(report, "days", "second")}
    days = {name: day for name, day in days.items() if day}
    if not days:
        return ""
    counts = {name: _reasons(day) for name, day in days.items()}
    reasons = sorted({reason for day in counts.values() for reason in day}, key=_reason_order)
    shades = _shades(reasons)
    plotted = [
        Row(name, [Segment(r, shades[r], day[r]) for r in reasons if day.get(r)]) for name, day in counts.items()
    ]
    body = "".join(
        f'<tr><th scope="row"><i class="key {shades[r]}"></i>{plain(r)}</th><td>{plain(_by(r))}</td>'
        f'<td class="words">{plain(_REASONS.get(r, ("", ""))[1])}</td>'
        + "".join(f"<td>{day.get(r, 0)}</td>" for day in counts.values())
        + "</tr>"
        for r in reasons
    )
    heads = "".join(f'<th scope="col">{plain(name)}</th>' for name in days)
    told = "".join(f"<p>{plain(_told_day(name, day))}</p>" for name, day in days.items())
    return f"""<section><h2>Who answered, and why</h2>{told}{stacked_rows("Who answered, by day", plotted)}
<div class="plot"><table><thead><tr><th>reason</th><th>answered by</th><th class="words">meaning</th>{heads}</tr>
</thead><tbody>{body}</tbody></table></div></section>"""


def _training(report: dict[str, Any]) -> str:
    training = branch(report, "training")
    losses = [loss for loss in map(number, items_of(training, "losses")) if loss is not None]
    phases = {name: seconds for name, seconds in branch(report, "phases").items() if number(seconds) is not None}
    told = [
        ("examples", shown(number(training.get("examples")), "", digits=0)),
        ("steps", shown(number(training.get("steps")), "", digits=0)),
        ("time", shown(number(training.get("seconds")), "s", digits=1)),
        ("examples a second", shown(number(training.get("examples_per_second")), "")),
        ("loss, first step", shown(number(training.get("first_loss")), "", digits=3)),
        ("loss, last steps", shown(number(training.get("last_loss")), "", digits=3)),
        ("peak memory", gigabytes(training.get("peak_memory_bytes"))),
        ("left out by the filters", counted(branch(report, "training", "dropped")) or "nothing"),
    ]
    parts = [facts(told)] if training else []
    if losses:
        parts.append("<h3>Loss over steps</h3>" + curve("Training loss over steps", losses, "step"))
    if phases:
        longest = max(1e-9, *phases.values())
        rows = "".join(
            f'<tr><th scope="row">{plain(name)}</th><td>{shown(seconds, "s", digits=1)}</td><td class="words wide">'
            f'<i class="time" style="width:{max(0.3, 100 * seconds / longest):.1f}%"></i></td></tr>'
            for name, seconds in phases.items()
        )
        parts.append(f"<h3>Where the time went</h3><table><tbody>{rows}</tbody></table>")
    return f"<section><h2>The night</h2>{''.join(parts)}</section>" if parts else ""


def _samples(report: dict[str, Any]) -> str:
    samples = [sample for sample in items_of(report, "samples") if isinstance(sample, dict)]
    if not samples:
        return ""
    articles = "".join(
        f'<article><h3>{plain(sample.get("question", NONE))}</h3><p class="small">'
        f"{plain(' · '.join(str(sample[key]) for key in ('repository', 'category') if sample.get(key)))}</p>"
        f'<div class="three">{"".join(_attempt(arm, branch(sample, arm)) for arm in ARMS)}</div></article>'
        for sample in samples
    )
    return f"""<section><h2>Questions side by side</h2><p>The first questions of each kind from the examination, as they
came: they were not picked for how they went.</p>{articles}</section>"""


def _attempt(arm: str, attempt: dict[str, Any]) -> str:
    marks = {"True": ("met", "✓ right"), "False": ("missed", "✗ wrong")}
    css, mark = marks.get(str(attempt.get("right")), ("", "not marked"))
    calls = "".join(f"<pre>{plain(cut(call))}</pre>" for call in items_of(attempt, "calls"))
    answer = str(attempt.get("answer") or "").strip()
    said = f"<p>{plain(cut(answer))}</p>" if answer else '<p class="small">no answer</p>'
    return (
        f'<div><h4><i class="key {arm}"></i>{plain(ARMS[arm])} <span class="{css}">{mark}</span></h4>'
        f"{calls or '<p class=small>no tool call</p>'}{said}</div>"
    )


def _provenance(report: dict[str, Any]) -> str:
    lists = {key: items_of(report, "repositories", key) for key in ("taught", "examined", "day2")}
    told = [
        ("seed", str(report.get("seed", NONE))),
        ("time altogether", shown(number(report.get("wall_seconds")), "s", digits=1)),
        ("machine", str(report.get("machine", NONE))),
        ("learnt from", ", ".join(map(str, lists["taught"])) or NONE),
        ("examined on", ", ".join(map(str, lists["examined"])) or NONE),
        ("second day on", ", ".join(map(str, lists["day2"])) or NONE),
        ("versions", ", ".join(f"{name} {version}" for name, version in branch(report, "versions").items()) or NONE),
    ]
    return f"<section><h2>How to get these numbers again</h2>{facts(told)}</section>"


# Sentences ---------------------------------------------------------------------------------------------------------


def _verdict(report: dict[str, Any]) -> str:
    verdict = branch(report, "verdict")
    if not verdict:
        return ""
    parts = ["The adapter passed its examination." if verdict.get("passed") else "The adapter did not pass."]
    if "gained" in verdict and "lost" in verdict:
        chance = f" (p = {p:.2g})" if (p := number(verdict.get("p_value"))) is not None else ""
        parts.append(
            f"Against its base it gained {verdict['gained']} exact questions and lost {verdict['lost']}{chance}."
        )
    parts += [f"Reason: {reason}." for reason in items_of(verdict, "reasons")]
    return " ".join(parts)


def _examined(report: dict[str, Any]) -> str:
    items = dig(report, "adapter", "items")
    repositories = items_of(report, "repositories", "examined")
    if items is None:
        return ""
    where = f" from {len(repositories)} repositories it was not trained on" if repositories else ""
    return f"Examined on {items} questions{where}; base, adapter and expert answered the same ones."


def _certified(report: dict[str, Any]) -> str:
    return "certified: true." if report.get("certified") is True else _UNCERTIFIED


def _told_day(name: str, day: dict[str, Any]) -> str:
    known = [
        f"{day[key]} {words}" for key, words in (("questions", "questions"), ("requests", "requests")) if key in day
    ]
    if "student_requests" in day:
        share = f" ({shown(served(day), '%')})" if served(day) is not None else ""
        known.append(f"{day['student_requests']} of them served by the student{share}")
    if (right := number(day.get("right_answers"))) is not None:
        known.append(f"{percent(right)} of the final answers right")
    if (seconds := number(day.get("median_seconds"))) is not None:
        known.append(f"a median of {shown(seconds, 's')} a question")
    return f"{name.capitalize()}: {', '.join(known)}." if known else ""


# Small pieces ------------------------------------------------------------------------------------------------------


def _change(report: dict[str, Any], key: str) -> str:
    return " → ".join(shown(number(dig(report, arm, key)), "%") for arm in ("base", "adapter"))


def _reasons(day: dict[str, Any]) -> dict[str, int]:
    """Requests by reason; where no reasons are known, by who answered."""
    reasons = {str(reason) or "unknown": int(number(count) or 0) for reason, count in branch(day, "reasons").items()}
    requests, student = number(day.get("requests")), number(day.get("student_requests"))
    if reasons or requests is None or student is None:
        return reasons
    return {"student": int(student), "teacher": int(requests - student)}


def _reason_order(reason: str) -> tuple[bool, int]:
    return (_by(reason) != "student", [*_REASONS, reason].index(reason))


def _by(reason: str) -> str:
    return _REASONS.get(reason, (NONE, ""))[0]


def _shades(reasons: Sequence[str]) -> dict[str, str]:
    """A colour for each reason: the student's own, and paler and paler ones of the teacher's."""
    shades, pale = {}, 0
    for reason in reasons:
        if _by(reason) == "student":
            shades[reason] = "adapter"
        else:
            shades[reason] = f"teacher pale{min(pale, 5)}"
            pale += 1
    return shades
