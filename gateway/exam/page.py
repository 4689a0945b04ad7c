"""An examination's report as one self-contained HTML page. Owns its sections and their words; reads a Result.

Knows nothing of how it was measured. What models said and what files hold is escaped wherever it is written.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from distill.examination.answers import Answered
from distill.examination.comparison import Comparison
from distill.examination.figures import Measured
from distill.examination.results import ArmResult, Result
from distill.examination.rows import Row
from gateway.exam.wording import (
    LINES,
    MEASURE_NAMES,
    between,
    compared,
    p_value,
    part,
    share,
    target,
    taught,
    title,
    verdict,
)
from gateway.exam.wrong import wrong
from gateway.reports.pieces import NONE, facts, figure, legend, page, shown, table
from gateway.reports.plots import Bar, Segment, Series, Strip, grouped_bars, plain, stacked_rows, strips
from gateway.reports.plots import Row as Stack

Answers = Mapping[str, Mapping[str, Answered]]

_SHARES = (
    ("success", "success", None),
    ("right_answers", "right answers", 0.9),
    ("right_calls", "right calls", None),
    ("tool", "tool if needed", 0.8),
    ("no_tool", "none if not", None),
)
_STATES = {"met": "met", "not met": "missed", "not shown": "doubt", "not known": ""}
_FEWER, _SAME, _ONE, _MORE = "fewer calls", "the shortest way", "one more", "two or more in excess"


def render(result: Result, answers: Answers) -> str:
    """The page: no scripts, nothing fetched. `answers` are those of each arm, by label and question's id."""
    sections = [
        _opening(result),
        _plan(result),
        _shares(result),
        _by_category(result),
        _compared(result),
        _pace(result, answers),
        wrong(result, answers, colours(result)),
        _teachers(result),
        _doubtful(result),
        _provenance(result),
    ]
    return page(f"Nightschool: examination {result.examination.name}", sections)


def colours(result: Result) -> dict[str, str]:
    """A colour for each arm: its role's, and paler ones for further arms of that role."""
    seen: Counter[str] = Counter()
    found: dict[str, str] = {}
    for arm in result.arms:
        found[arm.label] = f"{arm.role} pale{min(seen[arm.role], 5)}"
        seen[arm.role] += 1
    return found


def _opening(result: Result) -> str:
    mine = next((arm for arm in result.arms if arm.label == result.student), None)
    found = mine.figures if mine else None
    figures = [
        figure(
            "success: right, and a tool only where one is needed", shown(found.success.share if found else None, "%")
        ),
        figure("a tool where one is needed", shown(found.tool.share if found else None, "%")),
        figure("final answers right", shown(found.right_answers.share if found else None, "%")),
        figure("seconds a question, median", shown(found.p50.value if found else None, "s")),
    ]
    who = f"Figures of <b>{plain(result.student)}</b>, the arm that is decided upon." if result.student else ""
    notes = "".join(f"<li>{plain(note)}</li>" for note in result.notes)
    return f"""<header><p class="brand">Nightschool</p><h1>Examination {plain(result.examination.name)}</h1>
<p class="lede">{plain(title(result))}, put to {len(result.arms)} arms.</p>
<p class="note"><b>{plain(verdict(result))}</b></p>{f"<ul>{notes}</ul>" if notes else ""}
<div class="figures">{"".join(figures)}</div><p class="small under">{who}</p></header>"""


def _scored(result: Result) -> list[ArmResult]:
    return [arm for arm in result.arms if arm.scored]


def _heads(result: Result, arms: Sequence[ArmResult]) -> str:
    css = colours(result)
    return "".join(
        f'<th scope="col"><i class="key {css[arm.label]}"></i>{plain(arm.label)}<small>{plain(arm.model)}</small></th>'
        for arm in arms
    )


def _plan(result: Result) -> str:
    arms = _scored(result)
    if not arms:
        return ""
    rows = "".join(_plan_row(row, arms) for row in result.rows)
    return f"""<section><h2>The plan's four rows</h2><div class="plot"><table><thead><tr><th></th>
<th scope="col">target</th>{_heads(result, arms)}</tr></thead><tbody>{rows}</tbody></table></div>
<p class="small">Met: the one-sided 95 % bound is on the right side of the target. Not met: the other bound is on the
wrong side. Not shown: the target lies between them, or there were too few questions for a bound (59 for that of p95).
Bounds are Wilson's for shares and order statistics for seconds; seconds are those of a whole question,
asked while nothing else is under way. Peak memory is a single number.</p></section>"""


def _plan_row(row: Row, arms: Sequence[ArmResult]) -> str:
    cells = []
    for arm in arms:
        cell = row.cells[arm.label]
        told = "".join(
            f"{plain(value)}<small>{plain(small)}</small>"
            for value, small in (part(one, row.unit) for one in cell.parts)
        )
        cells.append(f'<td><b class="{_STATES[cell.state]}">{plain(cell.state)}</b><br>{told}</td>')
    return f'<tr><th scope="row">{plain(row.label)}</th><td>{plain(target(row))}</td>{"".join(cells)}</tr>'


def _shares(result: Result) -> str:
    arms, css = _scored(result), colours(result)
    plot = ""
    if arms:
        names = [label for _, label, _ in _SHARES]
        series = [
            Series(arm.label, css[arm.label], [_bar(_measured(arm, key)) for key, _, _ in _SHARES]) for arm in arms
        ]
        plot = grouped_bars("Shares of all questions, with 95 % intervals", names, series, [t for _, _, t in _SHARES])
        plot = legend([(one.css, one.name) for one in series] + [("target", "the plan's target")]) + plot
    body = "".join(
        f'<tr><th scope="row">{plain(line.label)}</th>{"".join(_small(*line.cell(arm)) for arm in result.arms)}</tr>'
        for line in LINES
    )
    return f"""<section><h2>All questions</h2>{plot}
<div class="plot"><table><thead><tr><th></th>{_heads(result, result.arms)}</tr></thead>
<tbody>{body}</tbody></table></div>
<p class="small">Under a share: Wilson's 95 % interval, which takes questions as independent, then that of a bootstrap
of whole repositories, which does not. With a handful of repositories the second is too narrow as well. Under seconds:
one-sided 95 % bounds.</p></section>"""


def _small(value: str, small: str) -> str:
    return f"<td>{plain(value)}{''.join(f'<small>{plain(one)}</small>' for one in small.split('; '))}</td>"


def _measured(arm: ArmResult, key: str) -> Measured | None:
    found: Measured | None = getattr(arm.figures, key, None)
    return found


def _bar(measured: Measured | None) -> Bar | None:
    if measured is None or measured.share is None:
        return None
    return Bar(measured.share, measured.low, measured.high)


def _by_category(result: Result) -> str:
    arms, css, names = _scored(result), colours(result), list(result.categories)
    if not arms or not names:
        return ""
    series = [
        Series(
            arm.label,
            css[arm.label],
            [_bar(arm.categories[name].success) if name in arm.categories else None for name in names],
        )
        for arm in arms
    ]
    labels = [name.replace("_", " ") for name in names]
    plot = legend([(one.css, one.name) for one in series]) + grouped_bars("Success by category", labels, series)
    heads = ["category", "arm", "questions", "success", "right answers", "right calls", "tool", "no tool", "p50", "p95"]
    head = "".join(f'<th scope="col">{plain(name)}</th>' for name in heads)
    rows = "".join(_category_row(name, arm) for name in names for arm in arms if name in arm.categories)
    return f"""<section><h2>Success by kind of question</h2>{plot}
<details><summary>The same as a table, with everything else</summary>
<div class="plot"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div></details></section>"""


def _category_row(name: str, arm: ArmResult) -> str:
    found = arm.categories[name]
    shares = (found.success, found.right_answers, found.right_calls, found.tool, found.no_tool)
    cells = [(shown(one.share, "%"), between(one.low, one.high) if one.of else "") for one in shares]
    cells += [(shown(one.value, "s"), "") for one in (found.p50, found.p95)]
    first = f'<th scope="row">{plain(name.replace("_", " "))}</th><td>{plain(arm.label)}</td><td>{found.items}</td>'
    return f"<tr>{first}{''.join(_small(*cell) for cell in cells)}</tr>"


def _compared(result: Result) -> str:
    whole = [one for one in result.comparisons if not one.category]
    if not whole:
        return ""
    heads = ["", "measure", "difference (95 % interval)", "gained, lost", "p"]
    each = [one for one in result.comparisons if one.category and one.measure == "success"]
    more = _comparisons(["", "category", *heads[2:]], [(one, one.category.replace("_", " ")) for one in each])
    return f"""<section><h2>Compared question by question</h2>
{_comparisons(heads, [(one, MEASURE_NAMES[one.measure]) for one in whole])}
<details><summary>Success by category, p-values adjusted by Holm</summary>{more}</details>
<p class="small">p: the exact two-sided McNemar test. Intervals are Newcombe's for paired shares, then those of a
bootstrap of whole repositories. All arms answered the same questions.</p></section>"""


def _comparisons(heads: Sequence[str], named: Sequence[tuple[Comparison, str]]) -> str:
    rows = []
    for one, name in named:
        difference, interval, changes, p = compared(one)
        who = plain(f"{one.second} against {one.first}")
        cells = f"<td>{plain(name)}</td>{_small(difference, interval)}<td>{plain(changes)}</td><td>{plain(p)}</td>"
        rows.append(f'<tr><th scope="row">{who}</th>{cells}</tr>')
    head = "".join(f'<th scope="col">{plain(name)}</th>' for name in heads)
    return f'<div class="plot"><table><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'


_DOTS = """<p class="small">A dot is a question asked alone, on a logarithmic scale; the dashed line is the plan's 20
seconds.</p>"""


def _pace(result: Result, answers: Answers) -> str:
    arms, css = _scored(result), colours(result)
    rows, stacks = [], []
    for arm in arms:
        marks = [one.mark for one in answers.get(arm.label, {}).values() if not one.failed]
        alone = sorted(mark.seconds for mark in marks if mark.alone)
        if arm.figures is None or not marks:
            continue
        known = [(name, q.value) for name, q in (("p50", arm.figures.p50), ("p95", arm.figures.p95)) if q.value]
        if alone:
            rows.append(Strip(arm.label, css[arm.label], alone, known))
        excess = Counter(_excess(mark.calls - mark.shortest) for mark in marks)
        shades = {_FEWER: "base", _SAME: "good", _ONE: "adapter", _MORE: "bad"}
        stacks.append(Stack(arm.label, [Segment(name, shades[name], excess[name]) for name in shades if excess[name]]))
    if not stacks:
        return ""
    pace = f"<h3>Seconds a question</h3>{strips('Seconds a question, by arm', rows, 's', 20.0)}{_DOTS}" if rows else ""
    keys = legend([("base", _FEWER), ("good", _SAME), ("adapter", _ONE), ("bad", _MORE)])
    return f"""<section><h2>Seconds and calls</h2>{pace}
<h3>Calls against the shortest way</h3>{keys}
{stacked_rows("Calls beyond the shortest way, by arm", stacks)}</section>"""


def _excess(calls: int) -> str:
    if calls < 0:
        return _FEWER
    return {0: _SAME, 1: _ONE}.get(calls, _MORE)


def _teachers(result: Result) -> str:
    if not result.teachers:
        return ""
    arms = {arm.label: arm for arm in result.arms}
    rows, details = [], []
    for one in result.teachers:
        arm = arms[one.label]
        found = arm.figures
        name = f"{one.label} (recommended)" if one.recommended and len(result.teachers) > 1 else one.label
        success = " ".join(share(found.success)).partition(";")[0] if found else NONE
        room = shown(None if arm.peak_memory is None else arm.peak_memory / 1e9, "GB")
        best = NONE if one.p_value is None else p_value(one.p_value)
        rows.append([name, success, best, shown(found.p50.value if found else None, "s"), room, taught(one)])
        details += [
            [
                one.label,
                category.replace("_", " "),
                str(lesson.items),
                shown(lesson.teacher, "%"),
                shown(lesson.student, "%"),
                f"+{lesson.gained} −{lesson.lost}",
                p_value(lesson.p_value),
                "yes" if lesson.teaches else "no",
            ]
            for category, lesson in one.teacher.categories.items()
        ]
    heads = ["teacher", "success", "p against the best", "seconds, p50", "peak memory", "teaches"]
    more = ["teacher", "category", "questions", "teacher", "student", "gained, lost", "p", "teaches"]
    return f"""<section><h2>Teachers</h2>{table(heads, rows)}
<p>A category in which {plain(result.student)} answers at least as many questions with success as a teacher is not
taught by that teacher. Categories of fewer than 20 questions decide nothing.</p>
<details><summary>By category</summary>{table(more, details)}</details></section>"""


def _doubtful(result: Result) -> str:
    if not result.doubtful:
        return ""
    rows = [[one.question, one.template, one.category.replace("_", " "), one.repository] for one in result.doubtful]
    heads = ["question", "kind", "category", "repository"]
    return f"""<section><h2>Doubtful questions</h2><p>{len(rows)} questions were answered right by no arm, the teacher
included. They count above like all others; before one of them is held against a student, see whether it is right
itself.</p>
<details><summary>All of them</summary>{table(heads, rows)}</details></section>"""


def _provenance(result: Result) -> str:
    about = result.examination
    told = [
        ("examination", f"{about.name}, version {about.version}, digest {about.digest}"),
        ("repositories", ", ".join(result.repositories)),
        ("questions", ", ".join(f"{name.replace('_', ' ')} {count}" for name, count in result.categories.items())),
        ("asked at once", str(result.at_once)),
        ("tokens of a turn, at most", str(result.max_tokens)),
        ("ended", result.when),
        *(
            (arm.label, f"{arm.model} at {arm.place}" + (f", told {arm.prompt}" if arm.prompt else ""))
            for arm in result.arms
        ),
    ]
    return f"<section><h2>What was examined</h2>{facts(told)}</section>"
