"""What a person reads of a natural day: a table of reasons, and each kept or dropped trajectory with its findings.

Owns how these look. Knows nothing of how anything was found.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from distill.workspace import workspace_of
from router.chat import Message
from tests.natural.night import Judged

_CONTEXT, _RESULT, _SAID = 160, 700, 1600  # characters shown of what stands before, of a tool's result, of an answer
_SHOWN = ("masked", "dropped")


def write(out: Path, judged: Sequence[Judged], known: dict[str, Any]) -> str:
    """Writes kept.md, dropped.md and report.json into `out`; the table. `known` goes into the report as it is."""
    kept, dropped = ([one for one in judged if one.kept is wanted] for wanted in (True, False))
    (out / "kept.md").write_text(_sheet("Kept", kept), encoding="utf-8")
    (out / "dropped.md").write_text(_sheet("Dropped", dropped), encoding="utf-8")
    report = {**known, "agents": {agent: _figures(mine) for agent, mine in _by_agent(judged).items()}}
    (out / "report.json").write_bytes(msgspec.json.format(msgspec.json.encode(report)) + b"\n")
    return table(judged)


def table(judged: Sequence[Judged]) -> str:
    """Kept, dropped by reason, and in what was kept dropped runs and masked messages; a column for each agent."""
    figures = {agent: _figures(mine) for agent, mine in _by_agent(judged).items()}
    lines = [f"| | {' | '.join(figures)} |", "|---|" + "---|" * len(figures)]
    lines.append(f"| kept | {' | '.join(str(each['kept']) for each in figures.values())} |")
    for effect in ("dropped", "dropped runs", "masked"):
        for reason in sorted({reason for each in figures.values() for reason in each[effect]}):
            counts = " | ".join(str(each[effect].get(reason, 0)) for each in figures.values())
            lines.append(f"| {effect}: `{reason}` | {counts} |")
    return "\n".join(lines)


def _by_agent(judged: Sequence[Judged]) -> dict[str, list[Judged]]:
    found: dict[str, list[Judged]] = {}
    for one in judged:
        found.setdefault(one.agent, []).append(one)
    return dict(sorted(found.items()))


def _figures(judged: Sequence[Judged]) -> dict[str, Any]:
    kept = [one for one in judged if one.kept]
    return {
        "conversations": len({one.trajectory.last.conversation for one in judged}),
        "trajectories": len(judged),
        "repositories": len({workspace_of(one.trajectory.last.request).repository for one in judged} - {""}),
        "traces": len({trace for one in judged for trace in one.explained.traces}),
        "kept": len(kept),
        "learnt messages": sum(len(one.explained.learnt) for one in kept),
        "dropped": dict(Counter(one.explained.reason for one in judged if not one.kept).most_common()),
        "dropped runs": dict(Counter(reason for one in kept for reason in one.findings("dropped")).most_common()),
        "masked": dict(Counter(reason for one in kept for reason in one.findings("masked")).most_common()),
        "noted": dict(Counter(reason for one in kept for reason in one.findings("noted")).most_common()),
    }


def _sheet(title: str, judged: Sequence[Judged]) -> str:
    parts = [f"# {title}: {len(judged)}", *("\n".join(_told(number, one)) for number, one in enumerate(judged, 1))]
    return "\n\n".join(parts) + "\n"


def _told(number: int, one: Judged) -> Iterator[str]:
    trajectory = one.trajectory
    yield f"## {number}. {one.agent}{f': `{one.explained.reason}`' if one.explained.reason else ''}"
    yield f"\nTraces {', '.join(one.explained.traces)}.\n"
    first = next((step.at for step in trajectory.steps if step.trace is not None), len(trajectory.messages))
    for at, message in enumerate(trajectory.messages):
        before = at < first - 1 and message.role != "tool"
        yield _line(message, _CONTEXT if before else _SAID, " (learnt)" if at in one.explained.learnt else "", at)
    for finding in one.explained.findings:
        if finding.effect in _SHOWN:
            place = "" if finding.at is None else f" at {finding.at}"
            yield f"* {finding.effect}{place}: `{finding.reason}` {finding.detail}"


def _line(message: Message, most: int, mark: str, at: int) -> str:
    calls = "".join(f"\n    {call.function.name} {call.function.arguments}" for call in message.tool_calls or ())
    text = _short(message.text, _RESULT if message.role == "tool" else most)
    return f"{at} **{message.role}**{mark}: {text}{calls}\n"


def _short(text: str, most: int) -> str:
    """Both ends of a text that is too long."""
    text = text.strip()
    return text if len(text) <= most else f"{text[: most // 2]} [...] {text[-most // 2 :]}"
