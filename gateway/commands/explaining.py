"""Why a conversation is learnt from or not, in a terminal. Owns how it looks."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from distill.filters import Explanation

_STYLES = {"passed": "green", "noted": "", "masked": "yellow", "dropped": "red"}


def print_explanation(found: Explanation) -> None:
    console = Console()
    console.print(f"conversation [bold]{escape(found.conversation)}[/]")
    for explained in found.trajectories:
        kept = f"learnt: messages {', '.join(map(str, explained.learnt))}" if not explained.reason else "not learnt"
        reason = f" ({explained.reason})" if explained.reason else ""
        console.print(f"\n{explained.messages} messages, {len(explained.traces)} traces: {kept}{reason}")
        table = Table("check", "effect", "reason", "message", "detail", box=None)
        for finding in explained.findings:
            at = "" if finding.at is None else str(finding.at)
            style = _STYLES[finding.effect]
            table.add_row(finding.check, finding.effect, finding.reason, at, escape(finding.detail), style=style)
        console.print(table)
