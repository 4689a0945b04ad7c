"""How a set of questions and its report look on a terminal. Owns the words and columns; knows nothing of how they come
about."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from distill.school.checks import REASONS
from distill.school.estimating import Estimate
from distill.school.ledger import Ledger
from distill.school.reporting import Part, Report
from distill.school.sets import QuestionSet
from distill.statistics import Share


def print_plan(console: Console, chosen: QuestionSet, ledger: Ledger, wanted: int) -> None:
    """What is going to be asked."""
    counts = Counter(question.category for question in chosen.questions)
    told = ", ".join(f"{category} {count}" for category, count in counts.items())
    console.print(f"Set {chosen.name}: {len(chosen.questions)} questions ({told}); {len(ledger.settled)} are settled.")
    if len(chosen.questions) < wanted:
        console.print(f"The repositories offer no more: {wanted} were wanted.")


def print_estimate(console: Console, estimate: Estimate | None, *, priced: bool) -> None:
    """What is still to come; `priced`: whether anybody knows what the teacher costs."""
    if estimate is None:
        console.print("How long that takes is known once some are answered.")
        return
    costs = f", {estimate.cost:.2f} by the teacher's prices" if priced else ""
    console.print(f"What is left takes about {_time(estimate.seconds)}{costs} (by {estimate.by}).")


def print_report(console: Console, report: Report, folder: Path) -> None:
    table = Table(title=f"Set {report.set}", box=SIMPLE, pad_edge=False)
    for heading in ("", "questions", "done", "kept", "right", "tools", "needless", "calls"):
        table.add_column(heading, justify="left" if not heading else "right", no_wrap=True)
    for name, part in report.categories.items():
        table.add_row(name, *_cells(part))
    table.add_section()
    table.add_row("all", *_cells(report.all))
    console.print(table)
    for reason, count in report.dropped.items():
        console.print(f"{count} dropped, {reason}: {REASONS[reason]}")
    console.print("tools: " + (", ".join(f"{name} {count}" for name, count in report.tools.items()) or "none"))
    if report.sequences:
        most = max(report.sequences.values()) / max(1, report.all.kept)
        console.print(f"sequences of calls: {report.distinct_sequences}, of which one makes up {most:.0%}")
    p50, p95 = report.seconds
    console.print(
        f"{report.answers} answers, {p50:.2f} s (p50), {p95:.2f} s (p95); "
        f"{report.prompt_tokens:,} tokens in, {report.completion_tokens:,} out. In {folder}"
    )


def _cells(part: Part) -> list[str]:
    calls = f"{part.calls}/{part.shortest}"
    shares = [_share(one) for one in (part.right, part.used_tools, part.needless_tools)]
    return [str(part.questions), str(part.settled), str(part.kept), *shares, calls]


def _time(seconds: float) -> str:
    """Hours and minutes."""
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{max(1, minutes)} min"


def _share(share: Share) -> str:
    return f"{share.share:.1%}" if share.of else ""
