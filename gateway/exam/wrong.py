"""What went wrong, as sections of the report's page: causes by arm, what would help, and answers side by side.

Everything that a model wrote is escaped, and cut where it is long.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from distill.examination.answers import Answered
from distill.examination.failures import CAUSES, Failure
from distill.examination.results import Result
from gateway.exam.wording import helps
from gateway.reports.pieces import NONE, cut
from gateway.reports.plots import plain

_MOST = 12  # failures of one cause that are shown
_COLUMNS = 3

Answers = Mapping[str, Mapping[str, Answered]]


def wrong(result: Result, answers: Answers, css: Mapping[str, str]) -> str:
    """The section; empty where nothing went wrong."""
    if not any(arm.causes for arm in result.arms):
        return ""
    return f"""<section><h2>What went wrong</h2>{_matrix(result, css)}{_remedies(result)}{_sides(result, answers, css)}
<p class="small">A question went wrong where it was not answered right, or where a tool was called that nobody needs. It
has one cause, the first in the order of the table that applies.</p></section>"""


def _matrix(result: Result, css: Mapping[str, str]) -> str:
    arms = [arm for arm in result.arms if arm.asked]
    causes = [cause for cause in CAUSES if any(cause in arm.causes for arm in arms)]
    body = "".join(
        f'<tr><th scope="row">{plain(cause)}</th><td class="words">{plain(CAUSES[cause])}</td>'
        + "".join(f"<td>{arm.causes.get(cause, 0) or NONE}</td>" for arm in arms)
        + "</tr>"
        for cause in causes
    )
    heads = "".join(f'<th scope="col"><i class="key {css[arm.label]}"></i>{plain(arm.label)}</th>' for arm in arms)
    return f"""<div class="plot"><table><thead><tr><th>cause</th><th class="words">meaning</th>{heads}</tr></thead>
<tbody>{body}</tbody></table></div>"""


def _remedies(result: Result) -> str:
    rows = helps(result)
    if not rows:
        return ""
    body = "".join(
        f'<tr><th scope="row">{plain(cause)}</th><td>{count}</td><td class="words">{plain(kinds)}</td>'
        f'<td class="words">{plain(remedy)}</td></tr>'
        for cause, count, kinds, remedy in rows
    )
    return f"""<h3>What would help {plain(result.student)}</h3><div class="plot"><table><thead><tr><th>cause</th>
<th>questions</th><th class="words">kinds of questions</th><th class="words">examples that would help</th></tr></thead>
<tbody>{body}</tbody></table></div>"""


def _sides(result: Result, answers: Answers, css: Mapping[str, str]) -> str:
    beside = _beside(result)
    parts = []
    for cause in CAUSES:
        ones = [one for one in result.failures if one.cause == cause]
        if ones:
            left = f" The first {_MOST} of them:" if len(ones) > _MOST else ""
            articles = "".join(_article(one, beside, answers, css) for one in ones[:_MOST])
            parts.append(f"<details><summary>{plain(cause)}: {len(ones)}.{left}</summary>{articles}</details>")
    if not parts:
        return ""
    return f"<h3>Answers of {plain(result.student)} beside others'</h3>{''.join(parts)}"


def _beside(result: Result) -> list[str]:
    """The student, then a teacher and what it was before it learnt."""
    ranked = [one.label for one in result.teachers] + [arm.label for arm in result.arms if arm.scored]
    others = list(dict.fromkeys(label for label in ranked if label != result.student))
    return [result.student, *others][:_COLUMNS]


def _article(one: Failure, beside: Sequence[str], answers: Answers, css: Mapping[str, str]) -> str:
    where = " · ".join(filter(None, (one.repository, one.category.replace("_", " "), one.template, one.vocabulary)))
    detail = f" ({cut(one.detail)})" if one.detail else ""
    columns = "".join(_attempt(label, answers.get(label, {}).get(one.id), css) for label in beside)
    return (
        f'<article><h3>{plain(cut(one.question))}</h3><p class="small">{plain(where)}: '
        f'{plain(one.cause)}{plain(detail)}</p><div class="three">{columns}</div></article>'
    )


def _attempt(label: str, one: Answered | None, css: Mapping[str, str]) -> str:
    head = f'<i class="key {css.get(label, "")}"></i>{plain(label)}'
    if one is None:
        return f'<div><h4>{head}</h4><p class="small">not asked</p></div>'
    mark = '<span class="met">✓ right</span>' if one.mark.right else '<span class="missed">✗ wrong</span>'
    calls = "".join(f"<pre>{plain(cut(f'{call.name} {call.arguments}'))}</pre>" for call in one.calls)
    said = one.answer.strip() or one.error
    text = f"<p>{plain(cut(said))}</p>" if said else '<p class="small">no answer</p>'
    end = "" if one.mark.end == "answered" else f'<p class="small">{plain(one.mark.end.replace("_", " "))}</p>'
    return f"<div><h4>{head} {mark}</h4>{calls or '<p class=small>no tool call</p>'}{text}{end}</div>"
