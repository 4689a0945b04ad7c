"""`nightschool why`: a decision in words, with its numbers, and whether it comes out the same once more.

Owns the sentences. What is decided is the router's; everything told here is out of the trace, but for the gates, which
models/gates/ has by the name that the trace tells.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from distill.trace import Trace
from router.chat import Choice, ChoiceLogprobs
from router.decision import Decision, Reason
from router.groups import group_of
from router.score import BROKEN_OFF
from router.scorer import Gates, Learnt, LearntLook, Look, Rule
from router.verify import fault

_TOLD = 6  # features of a draft that are told
_CLOSE = 1e-6

_WHY: dict[Reason, str] = {
    "verified": "its draft is well-formed and sure enough",
    "unverified": "the student's draft is not well-formed",
    "doubtful": "the student's draft is well-formed, but not sure enough",
    "unpromising": "a draft would most likely have been rejected, and cost more time than it could save",
    "uncertified": "the student may not serve this yet",
    "capability": "only this arm can serve such a request",
    "requested": "the client named it",
    "policy": "router.policy says so",
    "sticky": "the teacher has begun, and keeps the conversation until the user's next message or five idle minutes",
    "stays_here": "the request may not leave this machine, and the other arm is elsewhere",
    "experiment": "the conversation is of an arm of an experiment that names who answers",
    "holdout": "the conversation is one of those that always go to the teacher, to be compared with",
    "student_failed": "the student could not draft",
    "teacher_failed": "no teacher could answer, and the student's draft is well-formed",
    "cached": "the same request was answered before",
}


class Why(msgspec.Struct, frozen=True):
    """`said` in sentences; `again` are the scores as they come out now, None where there is no draft or its gates are
    gone, and `same` whether the decision does."""

    said: Sequence[str]
    again: dict[str, float] | None
    same: bool | None


def why(trace: Trace, gates: Callable[[str], Gates]) -> Why:
    """Why a trace's answer came from whom it came. `gates` gives gates by their name; it raises OSError, ValueError or
    msgspec.MsgspecError where they are gone."""
    decision = trace.decision
    detail = f": {decision.detail}" if decision.detail else ""
    said = [f"The {decision.arm} answered, since {_WHY[decision.reason]} ({decision.reason}{detail})."]
    said += [
        f"Its conversation has the arm '{arm}' of the experiment '{name}'." for name, arm in trace.experiments.items()
    ]
    said += _numbers(decision)
    if trace.draft is None:
        said.append("There was no draft.")
        return Why(said, None, None)
    draft = trace.draft
    logprobs = ChoiceLogprobs(draft.logprobs) if draft.logprobs else None
    choice = Choice(draft.message, draft.finish_reason, logprobs=logprobs)
    said.append(f"The draft was {_kind(choice)} and took {draft.seconds:.1f} s.")
    if draft.logprobs is None:
        said.append("Its probabilities are not in the trace: its backend told none, or they encode what was taken out.")
        return Why(said, None, None)
    look: Look = Rule()
    if decision.policy != look.name:
        try:
            look = Learnt(gates(decision.policy)).look(trace.request)
        except (OSError, ValueError, msgspec.MsgspecError) as error:
            said.append(f"Its gates, {decision.policy}, are not there any more ({error}).")
            return Why(said, None, None)
    if isinstance(look, LearntLook):
        said += _reasons(look, choice)
    again = look.score(choice)
    same = _same(trace, choice, again)
    said.append(f"Computed once more it is {'the same' if same else 'another decision'}.")
    return Why(said, again, same)


def _numbers(decision: Decision) -> list[str]:
    told = []
    name = "chance" if decision.reason == "unpromising" else "confidence"
    if name in decision.scores and decision.threshold is not None:
        told.append(f"Its {name} was {decision.scores[name]:.4f}; {decision.threshold:.4f} was wanted.")
    if decision.certificate:
        told.append(f"The threshold is that of {decision.certificate}.")
    elif decision.reason == "verified":
        told.append("No certificate stands behind the threshold: it is router.confidence.")
    if decision.propensity < 1:
        told.append(f"The conversation's lot made it so with a chance of {decision.propensity:.2f}.")
    return told


def _kind(choice: Choice) -> str:
    calls = choice.message.tool_calls or []
    if choice.finish_reason == BROKEN_OFF:
        return "a call that broke off, since no token of any call may be so improbable,"
    if not calls:
        return "an answer in words"
    names = ", ".join(call.function.name for call in calls)
    return f"a call that may change something ({names})" if group_of(calls) == "destructive" else f"a call ({names})"


def _reasons(look: LearntLook, choice: Choice) -> list[str]:
    parts = sorted(look.reasons(choice).items(), key=lambda item: -abs(item[1]))[:_TOLD]
    listed = ", ".join(f"{name.replace('_', ' ')} {value:+.2f}" for name, value in parts if abs(value) >= 0.01)
    return [f"What spoke for it (+) and against it (-), in log-odds against the usual: {listed}."] if listed else []


def _same(trace: Trace, choice: Choice, again: dict[str, float]) -> bool:
    """Whether form, scores and threshold lead to the same arm. Where there was no threshold, form alone decides."""
    decision = trace.decision
    scores = all(abs(again.get(name, 0.0) - value) <= _CLOSE for name, value in decision.scores.items())
    formed = choice.finish_reason == BROKEN_OFF or not fault(trace.request, choice)
    reached = decision.threshold is None or again.get("confidence", 1.0) >= decision.threshold
    if decision.reason == "unverified":
        return not formed
    if decision.reason in ("verified", "doubtful"):
        return scores and formed and reached == (decision.arm == "student")
    return formed or decision.arm == "teacher"
