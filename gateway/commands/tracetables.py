"""Traces as people read them in a terminal. Owns how they look; knows nothing of where they come from."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from distill.outcome import Outcome
from distill.store.listing import Sum, Summary
from distill.trace import Trace
from router.chat import Message, ToolCall

_SHOWN = 4000  # characters of a message
_STYLES = {"system": "dim", "developer": "dim", "user": "green", "assistant": "cyan", "tool": "yellow"}
_DAY = 86400


def print_summaries(found: Sequence[Summary], *, as_json: bool) -> None:
    if as_json:
        for summary in found:
            sys.stdout.write(msgspec.json.encode(summary).decode() + "\n")
        return
    table = Table(
        "when", "trace", "client", "arm", "reason", "state", "seconds", "tokens", "the user's last words", box=None
    )
    for one in found:
        seconds = f"{one.seconds:.2f}" if one.seconds is not None else ""
        table.add_row(
            _local(one.created),
            Text(one.id, no_wrap=True),
            escape(one.client),
            one.arm,
            one.reason,
            one.state,
            seconds,
            _tokens(one),
            escape(_printable(one.said)),
        )
    Console().print(table if found else "no traces")


def line_of(one: Summary) -> str:
    """A trace in one line."""
    seconds = f"{one.seconds:7.2f} s" if one.seconds is not None else " " * 9
    return (
        f"{_local(one.created)}  {one.id}  {one.arm:7} {one.reason:12} {one.state:9} {seconds}  {_printable(one.said)}"
    )


def print_trace(trace: Trace, outcomes: Iterable[Outcome]) -> None:
    """The conversation, then who answered and why."""
    console = Console()
    for message in trace.request.messages:
        _print_message(console, message)
    if trace.answer is not None:
        _print_message(console, Message("assistant", trace.answer.content, trace.answer.tool_calls), "answer")
    if trace.draft is not None and trace.decision.arm == "teacher":
        draft = trace.draft.message
        _print_message(console, Message("assistant", draft.content, draft.tool_calls), "the student's rejected draft")
    table = Table.grid(padding=(0, 2))
    for name, value in _facts(trace):
        table.add_row(f"[bold]{name}", escape(_printable(str(value))))
    for outcome in outcomes:
        score = "" if outcome.score is None else f"{outcome.score:+g} "
        table.add_row(f"[bold]{outcome.kind}", escape(_printable(score + outcome.comment)))
    console.print(table)


def print_sums(found: Sequence[Sum], size: int, *, as_json: bool) -> None:
    if as_json:
        for one in found:
            sys.stdout.write(msgspec.json.encode(one).decode() + "\n")
        return
    table = Table("day", "arm", "reason", "state", "traces", "seconds each", "tokens read", "tokens said", box=None)
    for (day, arm, reason, state), rows in _grouped(found).items():
        count = sum(row.traces for row in rows)
        table.add_row(
            datetime.fromtimestamp(day * _DAY, UTC).date().isoformat(),
            arm,
            reason,
            state,
            str(count),
            f"{sum(row.seconds for row in rows) / count:.2f}",
            f"{sum(row.prompt_tokens for row in rows):,}",
            f"{sum(row.completion_tokens for row in rows):,}",
        )
    console = Console()
    console.print(table if found else "no traces in this time")
    console.print(f"{sum(one.traces for one in found):,} traces; the store takes {size / 1e6:.1f} MB")


def _grouped(found: Sequence[Sum]) -> dict[tuple[int, str, str, str], list[Sum]]:
    groups: dict[tuple[int, str, str, str], list[Sum]] = {}
    for one in found:
        groups.setdefault((one.day, one.arm, one.reason, one.state), []).append(one)
    return groups


def _facts(trace: Trace) -> list[tuple[str, Any]]:
    usage, decision = trace.usage, trace.decision
    tokens = f"{usage.prompt_tokens} read, {usage.completion_tokens} said" if usage is not None else ""
    facts = {
        "trace": trace.id,
        "when": _local(trace.created),
        "conversation": f"{trace.conversation}, turn {trace.turn}",
        "client": trace.client,
        "answered by": f"{decision.arm} ({trace.model})" if trace.model else decision.arm,
        "why": decision.why,
        "scores": ", ".join(f"{name} {value:.3f}" for name, value in decision.scores.items()),
        "state": trace.state,
        "error": trace.error,
        "tried before": "; ".join(trace.tried),
        "seconds": ", ".join(f"{name} {value:.3f}" for name, value in trace.seconds.items()),
        "tokens": tokens,
        "wire": f"{trace.wire} {trace.wire_id}".strip(),
        "turn before": trace.parent,
        "redacted": f"{trace.redacted} secrets or personal data" if trace.redacted else "",
        "may teach": "yes" if trace.teach else "no",
    }
    return [(name, value) for name, value in facts.items() if value]


def _print_message(console: Console, message: Message, title: str = "") -> None:
    said = _printable(message.text)
    cut = f"{said[:_SHOWN]}\n… {len(said) - _SHOWN:,} more characters" if len(said) > _SHOWN else said
    parts = [cut, *(_call(call) for call in message.tool_calls or ())]
    body = Text("\n".join(part for part in parts if part))
    console.print(
        Panel(body, title=title or message.role, title_align="left", border_style=_STYLES.get(message.role, ""))
    )


def _call(call: ToolCall) -> str:
    return f"→ {_printable(call.function.name)}({_printable(call.function.arguments)})"


def _printable(text: str) -> str:
    """Text without what a terminal would obey."""
    return "".join(sign if sign.isprintable() or sign in "\n\t" else "�" for sign in text)


def _tokens(one: Summary) -> str:
    return f"{one.prompt_tokens}+{one.completion_tokens}" if one.prompt_tokens is not None else ""


def _local(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")
