"""The rule that says who answers: before a draft is made, and after.

Pure: takes the request and what is known of the two arms, gives a Decision. Issue of certificates, generation and
HTTP are elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Set
from functools import partial
from typing import Literal

import msgspec

from router.certificate import RULE, Certificate
from router.chat import ChatRequest, Choice, EngineNote, this_turn
from router.decision import STUDENT_CALL, Arm, Decision
from router.groups import Group, group_of
from router.lot import lot
from router.score import BROKEN_OFF
from router.scorer import Look, Rule
from router.verify import fault

_BEYOND = (  # fields of a request that are the teacher's: its vendor's services, and what hangs on its tokenizer
    "functions",
    "audio",
    "modalities",
    "web_search_options",
    "prediction",
    "logit_bias",
)
_COLD = 300.0  # seconds without a request, after which nobody has the conversation at hand any more
_CHARACTERS_PER_TOKEN = 2.5  # low for English and code, so that a prompt is rather taken for too long than cut


_RULE = Rule()


class Rules(msgspec.Struct, frozen=True):
    """The router's settings, plus what the student is known to be able to do, and what it has proven. `certificate`
    is one for the student, the teacher and the scorer of now; `worth` the chance of release from which a draft pays."""

    policy: Literal["cascade", "student", "teacher"] = "cascade"
    uncertified: Literal["shadow", "serve"] = "shadow"
    taught: bool = True  # whether the student has learnt anything: a local base without an adapter has not
    confidence: float = 0.6
    holdout: float = 0.05
    context: int = 0  # of the student, in tokens; 0: not known
    grammar: bool = False  # whether the student can be held to a schema or to a call
    hold: Literal["certified", "fast"] = "certified"  # how long a streamed turn of text is held
    teacher_down: Literal["student", "error"] = "student"  # who answers what is the teacher's when none can
    certificate: Certificate | None = None
    worth: float = 0.0
    answers: Arm | None = None  # who answers what either could, for a conversation of an experiment


def before(
    request: ChatRequest,
    rules: Rules,
    *,
    conversation: str,
    requested: Arm | None = None,
    size: int = 0,
    barred: Set[Arm] = frozenset(),
    idle: float = 0.0,
    chance: Callable[[], float | None] = lambda: None,
) -> Decision | None:
    """Who answers without a draft; None: the student may try. `size` is the length of the request in characters, `idle`
    the seconds since the conversation's last answer; `chance` is asked last, how probable it is that a draft would be
    good.

    `barred` arms may not see the request, since it may not leave the machine. Where one of them is decided on all the
    same, nobody else could answer, and the request is to be refused.
    """
    if requested is not None:
        return Decision(arm=requested, reason="requested")
    if rules.policy != "cascade":
        return Decision(arm=rules.policy, reason="policy")
    lacking = _beyond_student(request, rules, size)
    if lacking:
        return Decision(arm="teacher", reason="capability", detail=lacking)
    if "student" in barred:
        return Decision(arm="teacher", reason="stays_here")
    if "teacher" in barred:
        return None  # the student is the only one left: certificates, hold-out and stickiness choose between two
    if in_holdout(conversation, rules.holdout):
        return Decision(arm="teacher", reason="holdout", propensity=rules.holdout)
    return _of_two(request, rules, chance, cold=idle > _COLD)


def _of_two(request: ChatRequest, rules: Rules, chance: Callable[[], float | None], *, cold: bool) -> Decision | None:
    """Where either arm could answer: whoever an experiment names; the teacher where the student has proven nothing,
    where the teacher has begun, or where a draft does not pay; None: the student may try."""
    chosen = partial(Decision, arm="teacher", propensity=1.0 - rules.holdout)
    if rules.answers is not None:
        return chosen(reason="experiment") if rules.answers == "teacher" else None
    if rules.certificate is None and rules.uncertified == "shadow":
        return chosen(reason="uncertified")
    if not rules.taught:
        return chosen(reason="uncertified", detail="no adapter yet")
    if _teacher_has_it(request) and not cold:
        return chosen(reason="sticky")
    if rules.worth > 0 and (found := chance()) is not None and found < rules.worth:
        return chosen(reason="unpromising", scores={"chance": found}, threshold=rules.worth)
    return None


def after(
    request: ChatRequest,
    choice: Choice,
    rules: Rules,
    barred: Set[Arm] = frozenset(),
    look: Look = _RULE,
    note: EngineNote | None = None,
) -> Decision:
    """Whether the draft is released. A doubtful one is where the teacher is barred; one of a wrong form never.

    `note` is what the engine says of whoever drafted: a certificate is about exactly one student.
    """
    problem = fault(request, choice)
    group = group_of(choice.message.tool_calls or ())
    certificate = _certificate(rules, look.name, note)
    threshold = _threshold(rules, certificate, group)
    found = look.score(choice)
    decided = partial(
        Decision,
        scores=found,
        threshold=threshold,
        propensity=1.0 if barred else 1.0 - rules.holdout,
        policy=look.name,
    )
    if choice.finish_reason == BROKEN_OFF:
        return decided(arm="teacher", reason="doubtful", detail="broken off", threshold=floor(rules, look.name))
    if problem:
        return decided(arm="teacher", reason="unverified", detail=problem)
    if "teacher" in barred:
        return decided(arm="student", reason="stays_here")
    if threshold is None:
        return decided(arm="teacher", reason="uncertified", detail=group)
    if not found and threshold > 0:
        return decided(arm="teacher", reason="doubtful", detail="no log-probabilities")
    if found.get("confidence", 1.0) < threshold:
        return decided(arm="teacher", reason="doubtful")
    if rules.answers == "student":
        return decided(arm="student", reason="experiment")
    if certificate is None or certificate.threshold(group) is None:
        return decided(arm="student", reason="verified")
    return decided(arm="student", reason="verified", certificate=certificate.name, certified=True)


def floor(rules: Rules, scorer: str) -> float:
    """The least probability that a token of any call may have: a draft that shows a smaller one is rejected, whatever
    follows, so that it can be broken off. 0: there is none, since gates look at whole drafts."""
    if scorer != RULE:
        return 0.0
    groups: tuple[Group, ...] = ("call", "destructive")
    found = [_threshold(rules, rules.certificate, group) for group in groups]
    if rules.certificate is not None:
        found += [_threshold(rules, None, group) for group in groups]  # a draft may be of another student's
    return min((one for one in found if one is not None), default=0.0)


def _certificate(rules: Rules, scorer: str, note: EngineNote | None) -> Certificate | None:
    """The certificate, if it is about whoever drafted and about this way of scoring."""
    found = rules.certificate
    if found is None or found.scope.scorer != scorer:
        return None
    return found if note is None or found.scope.is_about(note) else None


def _threshold(rules: Rules, certificate: Certificate | None, group: Group) -> float | None:
    """From which confidence on the student may serve; None: not at all."""
    if rules.answers == "student":
        return 0.0
    proven = certificate.threshold(group) if certificate is not None else None
    if proven is None and (rules.certificate is None or rules.uncertified == "serve"):
        return rules.confidence
    return proven


def released(request: ChatRequest, so_far: Choice, rules: Rules) -> Decision | None:
    """Whether a turn of text that is not finished may be let go; None: hold it on."""
    finished = msgspec.structs.replace(so_far, finish_reason="stop")
    outside = msgspec.structs.replace(rules, certificate=None, uncertified="serve")  # of the guarantee: it is not whole
    decision = after(request, finished, outside)
    return decision if decision.arm == "student" else None


def may_stand_in(decision: Decision, rules: Rules) -> bool:
    """Whether the student may draft what was the teacher's, now that no teacher can answer.

    It may where the request was held back from it for reasons that lie in the conversation, not in what it can do or
    in what the client or the owner asked for.
    """
    return rules.teacher_down == "student" and decision.reason in ("holdout", "sticky", "experiment")


def in_holdout(conversation: str, share: float) -> bool:
    """Whether a conversation belongs to the share that always goes to the teacher; the same answer at every turn."""
    return lot("holdout", conversation) < share


def _beyond_student(request: ChatRequest, rules: Rules, size: int) -> str:
    if request.n is not None and request.n > 1:
        return "n"
    if request.logprobs or request.top_logprobs:
        return "logprobs"
    kind = (request.response_format or {}).get("type", "text")
    if kind != "text" and not rules.grammar:
        return f"response_format {kind}"
    if request.tool_choice not in (None, "auto", "none") and not rules.grammar:
        return "tool_choice"
    for name in _BEYOND:
        if request.extra.get(name):
            return name
    if rules.context and size / _CHARACTERS_PER_TOKEN > rules.context:
        return "context"  # the prompt alone: agents ask for far more tokens than any answer of theirs has
    return _part_beyond_text(request)


def _part_beyond_text(request: ChatRequest) -> str:
    for message in request.messages:
        if isinstance(message.content, list):
            for part in message.content:
                if part.get("type", "text") != "text":
                    return str(part.get("type"))
    return ""


def _teacher_has_it(request: ChatRequest) -> bool:
    """Whether the teacher answered since the last user message: told by the ids of the calls in the history."""
    calls = [call for message in this_turn(request.messages) for call in message.tool_calls or ()]
    return any(not call.id.startswith(STUDENT_CALL) for call in calls)
