"""Alarms: what in a morning somebody should look at. Owns the limits and the sentences; pure, a rule for each alarm."""

from __future__ import annotations

from collections.abc import Callable

from distill.examination.scores import Score
from gateway.morning.morning import DayTraffic, Diversity, Morning
from gateway.morning.wording import called, count, percent, stage_of

REFUSED = 3  # nights in a row
CHANGE = 0.2  # of what a dataset was like before
_LEAST = 0.05  # that a share has to change by besides: a fifth of next to nothing is nothing
LOW_DISK = 5e9  # bytes
FAILING = 0.05  # of the teacher's requests
NOISE = 0.1  # of the questions that were asked again
LONG = 0.1  # of the conversations that were to be learnt
_FAILED = 3  # requests: fewer are chance
_QUIET = 2 * 86_400.0  # seconds without a night


def alarms(morning: Morning) -> list[str]:
    """In sentences, the weightiest first; empty where all is well."""
    return [told for rule in _RULES for told in rule(morning)]


def _cut_short(morning: Morning) -> list[str]:
    night = morning.night
    if night is None or (night.record.ended is not None and night.record.outcome != "partial"):
        return []
    record, stage = night.record, stage_of(night.record)
    if record.ended is not None:
        return [f"The last night was cut short: {record.reason or f'no time was left after {stage}'}."]
    after = "Started again, it goes on." if night.goes_on else "It is too old to be gone on with."
    if record.reason:
        return [f"The last night was cut short during '{stage}': {record.reason}. {after}"]
    return [f"The last night is not over: it is at '{stage}' still, or was stopped or killed there. {after}"]


def _teacher_failing(morning: Morning) -> list[str]:
    found = ["The teacher cannot be reached now."] if morning.teacher_down else []
    lately: list[DayTraffic] = morning.days[-2:]
    asked, failed = sum(day.teacher for day in lately), sum(day.teacher_failed for day in lately)
    if failed >= _FAILED and failed > FAILING * asked:
        found.append(
            f"The teacher fails: it did not answer {failed} of the {asked} requests for it yesterday and today "
            f"({percent(failed / asked)})."
        )
    return found


def _not_loaded(morning: Morning) -> list[str]:
    if not (adapter := morning.serving.missing_adapter):
        return []
    return [
        f"{adapter} should serve and cannot be loaded, so the base does: put its folder back, or say `nightschool "
        "rollback base`."
    ]


def _certificate_withdrawn(morning: Morning) -> list[str]:
    serving = morning.serving
    name = called(serving.adapter)
    if serving.teacher:
        return [f"The certificate of {name} holds no more: it is about another teacher ({serving.teacher})."]
    if not serving.broken:
        return []
    since = " It has earned another one since." if serving.certified else ""
    return [f"The certificate of {name} was withdrawn: {serving.broken}.{since}"]


def _refused_in_a_row(morning: Morning) -> list[str]:
    if morning.refused < REFUSED:
        return []
    record = morning.night.record if morning.night is not None else None
    why = f"; the reason of the newest: {record.reason}" if record is not None and record.outcome == "refused" else ""
    return [f"The last {morning.refused} nights that came to a verdict were refused{why}."]


def _call_rate(morning: Morning) -> list[str]:
    """The best candidate beside what serves: whether its share lies outside of the other one's 95 % interval."""
    chosen = morning.night.chosen if morning.night is not None else None
    if chosen is None or chosen.verdict is None or chosen.served is None:
        return []
    new, old = chosen.verdict.adapter, chosen.served
    found = []
    if new.autonomous_tool_use.share < old.autonomous_tool_use.low:
        told = _both(old, new, "autonomous_tool_use")
        found.append(f"{chosen.adapter} calls a tool less often where one is needed than what served: {told}.")
    if new.needless_calls.share > old.needless_calls.high:
        told = _both(old, new, "needless_calls")
        found.append(f"{chosen.adapter} calls a tool more often where none is needed than what served: {told}.")
    return found


def _both(old: Score, new: Score, name: str) -> str:
    return f"{percent(getattr(old, name).share)} before, {percent(getattr(new, name).share)} now"


def _diversity(morning: Morning) -> list[str]:
    night = morning.night
    if night is None or night.learnt is None or night.before is None:
        return []
    return [*_calls(night.before, night.learnt), *_without_tools(night.before, night.learnt)]


def _calls(before: Diversity, now: Diversity) -> list[str]:
    if abs(now.calls - before.calls) <= CHANGE * before.calls:
        return []
    word = "more" if now.calls > before.calls else "fewer"
    return [
        f"What was learnt has {word} turns with calls: about {now.calls:.1f} a conversation, {before.calls:.1f} in the "
        "dataset before."
    ]


def _without_tools(before: Diversity, now: Diversity) -> list[str]:
    change = abs(now.without_tools - before.without_tools)
    if change <= max(CHANGE * before.without_tools, _LEAST):
        return []
    return [
        f"{percent(now.without_tools)} of what was learnt calls no tool; in the dataset before it was "
        f"{percent(before.without_tools)}."
    ]


def _noise(morning: Morning) -> list[str]:
    """What serves was asked a few questions once more: sampling is none, so nearly all have to end as before."""
    found = morning.night.record.noise if morning.night is not None else None
    if found is None or found.changed <= NOISE * found.asked:
        return []
    return [
        f"Asked again, what serves answered {found.changed} of {found.asked} questions otherwise than before: verdicts "
        "on close adapters are by chance."
    ]


def _too_long(morning: Morning) -> list[str]:
    """Who asks with long conversations would be learnt least of, and nobody would know. The newest night that trained
    tells."""
    made = next((night.record.candidates for night in morning.nights if night.record.candidates), [])
    return [
        f"{one.adapter} was not trained on {one.too_long} of {count(one.wanted, 'conversation')}, which are too long: "
        "a higher night.recipe.max_tokens takes them in, the next time they are learnt, and more memory."
        for one in made
        if one.too_long > LONG * one.wanted
    ]


def _doubted(morning: Morning) -> list[str]:
    return [
        f"Nights leave out {count(traces, 'trace')} that {night} doubts. Look at them, and `nightschool trust {night}` "
        "if they are right."
        for night, traces in morning.doubted.items()
    ]


def _disk_low(morning: Morning) -> list[str]:
    if morning.disk_free >= LOW_DISK:
        return []
    return [f"The disk is nearly full: {morning.disk_free / 1e9:.1f} GB are free. A night may need more."]


def _no_night(morning: Morning) -> list[str]:
    """Learning is paused, or requests came and no night did."""
    if morning.paused:
        return [f"{morning.paused[:1].upper()}{morning.paused[1:]}."]
    if morning.night is None or morning.at - morning.night.record.began <= _QUIET:
        return []
    past = int((morning.at - morning.night.record.began) // 86_400)
    if not any(day.requests for day in morning.days[-past:]):
        return []
    return [f"No night began for {past} days, and requests came meanwhile."]


_RULES: tuple[Callable[[Morning], list[str]], ...] = (
    _cut_short,
    _not_loaded,
    _teacher_failing,
    _certificate_withdrawn,
    _refused_in_a_row,
    _call_rate,
    _too_long,
    _noise,
    _doubted,
    _diversity,
    _disk_low,
    _no_night,
)
