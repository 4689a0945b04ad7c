"""How an examination's numbers are written, on the terminal and on the page. Owns units, rounding and sentences."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from distill.examination.comparison import Comparison
from distill.examination.failures import HELP
from distill.examination.figures import Balance, Figures, Measured
from distill.examination.results import ArmResult, Candidate, Result
from distill.examination.rows import GB, Part, Row, written
from distill.examination.teaching import LEAST, decides
from distill.resampling import Quantile
from gateway.reports.pieces import NONE, shown

MEASURE_NAMES = {"success": "success", "right_answers": "right final answers", "right_calls": "right calls"}


class Line(NamedTuple):
    """A line of the table of figures: its name, and for an arm a number with the small print beside it."""

    label: str
    cell: Callable[[ArmResult], tuple[str, str]]


def share(measured: Measured) -> tuple[str, str]:
    """The share, and both its intervals: that of independent questions, then that by whole repositories."""
    if measured.share is None:
        return NONE, ""
    spread = f"; repos {between(*measured.clustered)}" if measured.clustered else ""
    return shown(measured.share, "%"), f"{between(measured.low, measured.high)}{spread}"


def between(low: float, high: float) -> str:
    return f"{100 * low:.0f}–{100 * high:.0f} %"


def _balance(balance: Balance) -> tuple[str, str]:
    if balance.value is None:
        return NONE, ""
    spread = f"; repos {between(*balance.clustered)}" if balance.clustered else ""
    return shown(balance.value, "%"), f"{between(balance.low, balance.high)}{spread}"


def seconds(found: Quantile) -> tuple[str, str]:
    """A quantile with its bounds; where an endpoint failed to answer, there may be no such number."""
    if found.value is None:
        return "beyond", "failed requests"
    low = NONE if found.low is None else f"{found.low:.2f}"
    high = "?" if found.high is None else f"{found.high:.2f}"
    return f"{found.value:.2f} s", f"{low}–{high} s"


def _of(pick: Callable[[Figures], tuple[str, str]]) -> Callable[[ArmResult], tuple[str, str]]:
    return lambda arm: (NONE, "") if arm.figures is None else pick(arm.figures)


def memory(arm: ArmResult) -> tuple[str, str]:
    return ("not known", "") if arm.peak_memory is None else (f"{arm.peak_memory / GB:.2f} GB", "")


def _tokens(arm: ArmResult) -> tuple[str, str]:
    if arm.prompt_tokens is None or arm.completion_tokens is None:
        return "not known", ""
    return f"{arm.prompt_tokens:,.0f} + {arm.completion_tokens:,.0f}", ""


LINES = (
    Line("Success: right, tool only where needed", _of(lambda one: share(one.success))),
    Line("Right final answers", _of(lambda one: share(one.right_answers))),
    Line("The same, with part credit for sets (F1)", _of(lambda one: (shown(one.credit, "%"), ""))),
    Line("Right calls, exact or equivalent", _of(lambda one: share(one.right_calls))),
    Line("Right calls, exact", _of(lambda one: share(one.exact_calls))),
    Line("A tool where one is needed", _of(lambda one: share(one.tool))),
    Line("No tool where none is needed", _of(lambda one: share(one.no_tool))),
    Line("Mean of these two", _of(lambda one: _balance(one.balanced))),
    Line("Calls a question (shortest way)", _of(lambda one: (f"{one.calls:.2f} ({one.shortest:.2f})", ""))),
    Line("Calls that repeat one", _of(lambda one: share(one.repeats))),
    Line("Seconds a question, p50", _of(lambda one: seconds(one.p50) if one.timed else (NONE, ""))),
    Line("Seconds a question, p95", _of(lambda one: seconds(one.p95) if one.timed else (NONE, ""))),
    Line("Tokens a question, prompt + answer", _tokens),
    Line("Peak memory", memory),
    Line("Failed requests", lambda arm: (f"{arm.failed} of {arm.asked}", "")),
)


def target(row: Row) -> str:
    return f"{'>' if row.above else '<'} {written(row.target, row.unit)}"


def part(found: Part, unit: str) -> tuple[str, str]:
    """A number of the plan's rows, with its one-sided bounds."""
    name = f"{found.name} " if found.name else ""
    if found.beyond:
        return f"{name}beyond", "failed requests"
    if found.value is None:
        return "", ""
    value = f"{name}{shown(found.value, unit)}"
    if found.low is None and found.high is None:
        return value, ""
    if unit == "%":
        return value, between(found.low or 0.0, 1.0 if found.high is None else found.high)
    ends = ["?" if end is None else f"{end:.2f}" for end in (found.low, found.high)]
    return value, f"{ends[0]}–{ends[1]} {unit}"


def title(result: Result) -> str:
    about = result.examination
    places = len(result.repositories)
    where = f"{places} {'repository' if places == 1 else 'repositories'}"
    return f"Examination {about.name}, version {about.version}: {about.items} questions about {where}"


def verdict(result: Result) -> str:
    """The plan's decision in a sentence."""
    found = result.decision
    if found is None:
        return "No student was scored, so nothing is decided."
    return (
        f"{result.student}: {found.hits} of {found.of} with success, {100 * found.hits / found.of:.0f} % "
        f"(one-sided 95 % bounds {between(found.low, found.high)}). {found.words[0].upper()}{found.words[1:]}."
    )


def compared(one: Comparison) -> tuple[str, str, str, str]:
    """Difference in points, its bounds, gained and lost, p-value; Holm's for a category."""
    clustered = f"; repos {_signed(one.clustered)}" if one.clustered else ""
    return (
        f"{100 * one.difference.difference:+.0f} points".replace("-", "−"),
        f"{_signed((one.difference.low, one.difference.high))}{clustered}",
        f"+{one.gained} −{one.lost}",
        p_value(one.adjusted if one.category else one.p_value),
    )


def p_value(value: float) -> str:
    return "< 0.0001" if value < 1e-4 else f"{value:.3g}"


def _signed(ends: tuple[float, float]) -> str:
    return f"{100 * ends[0]:+.0f} to {100 * ends[1]:+.0f}".replace("-", "−")


def taught(one: Candidate) -> str:
    """What a teacher does not teach."""
    missing = one.teacher.not_taught
    if not decides(one.teacher.categories):
        return f"not decided: fewer than {LEAST} questions of each kind"
    if not missing:
        return "every category"
    return "not " + ", ".join(name.replace("_", " ") for name in missing)


def helps(result: Result) -> list[tuple[str, int, str, str]]:
    """For each cause of the student's failures: how many, the kinds of questions it hit, and what would help."""
    found = []
    for cause, kinds in result.wanted.items():
        told = ", ".join(f"{name} {count}" for name, count in list(kinds.items())[:6])
        more = f" and {len(kinds) - 6} more kinds" if len(kinds) > 6 else ""
        found.append((cause, sum(kinds.values()), told + more, HELP[cause]))
    return found
