"""What a morning means, in sentences: the line of a notification, and the parts of the report.

Owns the words; pure. Terminal and page show the same sentences.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from distill.gate import Verdict
from distill.succession import Succession
from gateway.morning.morning import Examined, Morning, Night, Serving
from gateway.morning.reasons import in_words
from gateway.morning.wording import (
    called,
    count,
    moment,
    percent,
    points,
    probability,
    readable,
    short,
    since,
    span,
    stage_of,
)

LINE = 200  # characters of a notification
_NAME, _REASON = 44, 80
NOTHING_YET = (
    "Good morning. There is nothing to tell yet: no night has been, and no request has come. Start the gateway with "
    "`nightschool serve`, point an agent at it, and let a `nightschool night` follow the day."
)
_STANDING = {
    "superior": "significantly better",
    "not inferior": "no fewer exact calls, and surely not much worse",
    "not shown": "neither better nor surely close enough",
}


def headline(morning: Morning) -> str:
    """The morning in one line of at most LINE characters."""
    if morning.empty:
        return "nothing to tell yet: no night, no requests"
    parts = [_outcome(morning)]
    yesterday = (datetime.fromtimestamp(morning.at, UTC) - timedelta(days=1)).date().isoformat()
    for day in morning.days:
        if day.day == yesterday and day.student_share is not None:
            parts.append(f"the student answered {percent(day.student_share)} yesterday")
    return short("; ".join(parts), LINE)


def _outcome(morning: Morning) -> str:
    night = morning.night
    serves = f"{short(called(morning.serving.adapter), _NAME)} serves"
    if night is None:
        return f"no night yet; {serves}"
    record = night.record
    if record.ended is None:
        after = "goes on when started again" if night.goes_on else "too old to be gone on with"
        why = short(record.reason, _REASON) if record.reason else "still at work, stopped or killed"
        told = "cut short" if record.reason else "not over"
        return f"{told} during '{stage_of(record)}': {why}; {after}"
    if record.outcome == "partial":
        return f"cut short: {short(record.reason, _REASON)}; {serves} as before"
    if record.outcome == "doubted":
        return f"doubted what came: {short(record.reason, _REASON)}; {serves} as before"
    if record.outcome == "nothing":
        if record.conversations and not record.new:
            return f"nothing new to learn; {serves} as before"
        return f"nothing learnt: {short(record.reason, _REASON)}; {serves} as before"
    return _trained(night, serves)


def _trained(night: Night, serves: str) -> str:
    record, chosen = night.record, night.chosen
    name = short(record.chosen or "the adapter", _NAME)
    verdict = chosen.verdict if chosen is not None else None
    change = f": {_change(verdict)}" if verdict is not None else ""
    if record.outcome == "promoted":
        return f"promoted {name}{change}"
    if record.outcome == "canary":
        return f"{name} is a canary now{change}"
    if verdict is not None and verdict.passed:
        return f"{name} passed{change}, and does not serve: {short(record.reason, _REASON)}"
    return f"refused {name}{change}; {serves} as before"


def _change(verdict: Verdict) -> str:
    """Exact calls before and after; before is what served, else the base."""
    return f"{100 * exact_before(verdict):.0f} → {percent(verdict.adapter.exact_calls.share)} exact calls"


def exact_before(verdict: Verdict) -> float:
    """The share of exact calls of what served on the same questions, else the base's."""
    if verdict.succession is None:
        return verdict.base.exact_calls.share
    return max(0.0, verdict.adapter.exact_calls.share - verdict.succession.difference)


def told_night(night: Night) -> str:
    """When it was, and how it ended."""
    record = night.record
    if record.ended is None:
        return f"Began {moment(record.began)}, and is not over: it stands at '{stage_of(record)}'."
    reason = f" ({readable(record.reason)})" if record.reason else ""
    took = span(sum(done.seconds for done in record.stages.values()))
    outcome = record.outcome or "no outcome"
    return f"Began {moment(record.began)}, worked {took}, ended {moment(record.ended)}: {outcome}{reason}."


def came_in(night: Night) -> list[str]:
    """What there was to learn from."""
    record = night.record
    traces = f"{count(night.traces, 'trace')} came since the night before" if night.traces is not None else ""
    first = "It was the first night" if night.traces is None else traces
    if not record.conversations and not record.dropped:
        return [f"{first}. What passed the filters was not written down."]
    passed = f"{count(record.conversations, 'conversation')} passed the filters, {record.new:,} of them new"
    found = [f"{first}; {passed}."]
    if record.dropped:
        found.append(f"Dropped: {count(sum(record.dropped.values()), 'conversation')}.")
    return found


def dropped(night: Night) -> list[tuple[str, int]]:
    """Reasons in words with their counts, the most frequent first."""
    by_count = sorted(night.record.dropped.items(), key=lambda one: (-one[1], one[0]))
    return [(in_words(reason), number) for reason, number in by_count]


def learnt(one: Examined) -> list[str]:
    """From what a candidate was made, and why it may serve or may not."""
    origin = f"{one.parent} trained further" if one.parent else "Trained from the base"
    on = f" on {count(one.conversations, 'conversation')}" if one.conversations is not None else ""
    part = ", the new ones with as many old" if one.fresh else ""
    steps = f", {count(one.steps, 'step')}: as many as there was time for" if one.steps else ""
    found = [f"{origin}{on}{part}{steps}."]
    verdict = one.verdict
    if verdict is None:
        return [*found, "It was not examined."]
    why = "" if verdict.passed else f": {'; '.join(map(readable, verdict.reasons))}"
    passed = "passed" if verdict.passed else "did not pass"
    found.append(f"It {passed} the examination of {count(verdict.adapter.items, 'question')}{why}.")
    found.append(
        f"Beside its base it gained {verdict.gained} exact calls and lost {verdict.lost}. Were it no better, so much "
        f"would come about by chance with a probability of {probability(verdict.p_value)} (p = {verdict.p_value:.2g})."
    )
    if verdict.succession is not None:
        found += beside_served(verdict.succession)
    return found


def beside_served(beside: Succession) -> list[str]:
    """The comparison with what serves, with its numbers in words."""
    found = [
        f"Beside {beside.served}, which served, it gained {beside.gained} exact calls and lost {beside.lost}: "
        f"{_STANDING[beside.standing]}.",
        f"By chance that would come about with a probability of {probability(beside.p_value)}; to be called better, it "
        f"had to be at most {probability(beside.level)} (the level: the same questions are asked on several nights, "
        "and each gets a share of one risk).",
        f"The difference is {points(beside.difference)}, surely not below {points(beside.low)}; down to "
        f"{points(-beside.margin)} were allowed (the margin).",
    ]
    if beside.worse:
        found.append(f"It became significantly worse at {', '.join(map(readable, beside.worse))}.")
    return found


def serves_now(morning: Morning) -> list[str]:
    """What serves, what did before, the canary, and what is proven."""
    serving = morning.serving
    began = f" since {since(serving.since)}" if serving.since else ""
    found = [f"{serving.adapter or 'The base'} serves{began}."]
    if serving.adapter:
        found.append(f"Before, {called(serving.before)} served.")
    if serving.learnt_until is not None:
        origin = f"was trained from {serving.parent} further" if serving.parent else "was trained from the base"
        found.append(f"It {origin}, and knows what came until {moment(serving.learnt_until)}.")
    if (canary := morning.canary) is not None:
        state = f"is paused: {readable(canary.paused)}" if canary.paused else "is under way"
        found.append(
            f"{canary.adapter} is a canary for {percent(canary.share)} of the conversations, and {state}; {canary.bad} "
            f"of {canary.seen} compared answers were worse."
        )
    elif not morning.up:
        found.append("No gateway runs, so nobody tells of a canary.")
    return [*found, *_proven(serving)]


def _proven(serving: Serving) -> list[str]:
    found = [
        f"Certified for {group}: {percent(one.coverage)} of such answers may be the student's, from a score of "
        f"{one.threshold:.2f} on; {one.errors} of {one.accepted} compared ones were worse."
        for group, one in serving.certified.items()
    ]
    for group, one in serving.missing.items():
        lacks = "the student has to become better" if one.more is None else f"about {one.more} more labels are needed"
        found.append(f"Not certified for {group}: {one.errors} of {one.accepted} drafts were worse; {lacks}.")
    return found or ["There is no certificate, and nothing was compared for one yet."]


def saved(morning: Morning) -> list[str]:
    """What the student saved, as an estimate."""
    found = morning.saved
    if not found.requests:
        return ["The student answered nothing in these days, so it saved nothing."]
    told = f"The student answered {count(found.requests, 'request')}"
    tokens = f"{count(found.tokens, 'token')} did not have to be read or written by the teacher."
    if found.student_mean is None or found.teacher_mean is None:
        return [
            f"{told}. How many seconds that saved is not known: the teacher answered nothing in these days. {tokens}"
        ]
    means = f"{found.teacher_mean:.2f} s a request of the teacher's, {found.student_mean:.2f} s of the student's"
    verb = "saved" if found.seconds >= 0 else "cost"
    return [
        f"{told}. By the mean times ({means}) that {verb} {span(abs(found.seconds))}: an estimate, since the teacher "
        f"is asked other things than the student. {tokens}"
    ]
