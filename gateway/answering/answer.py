"""How a request is answered: as before, or decide → draft → verify → commit, or escalate → record.

Owns that order and nothing else: what is a repeat is repeats', the rules are router's, the draft is held in drafting,
bytes travel in backends, what was decided ends in the turn. Knows nothing of HTTP or of the wire the client speaks.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Protocol

import msgspec

from distill.trace import Trace
from gateway.access.underway import UnderWay
from gateway.answering import drafting
from gateway.answering.arms import Arm
from gateway.answering.recent import Recent
from gateway.answering.repeats import Repeats
from gateway.answering.reply import Live, Whole, between_us, collected, keep, read, wants_ids
from gateway.answering.serving import Serving
from gateway.answering.teachers import Teachers
from gateway.answering.turn import Ask, Turn
from gateway.backends.patience import is_fault
from gateway.backends.stream import Event, without_ids
from gateway.errors import BackendError, BackendUnreachable, GatewayError, MayNotLeave, MemoryLeased, NoRoom, SpendLimit
from router.decision import Arm as ArmName
from router.decision import Decision
from router.policy import Rules, before, may_stand_in
from router.scorer import Look


class TakesTraces(Protocol):
    def put(self, trace: Trace) -> None: ...


class Cascade:
    """Answers turns with a student and its teachers. `serving` is asked at each request, so that it may change; `ended`
    hears of every turn, traced or not, once nothing more happens to it."""

    def __init__(
        self,
        student: Arm,
        teachers: Teachers,
        serving: Callable[[Ask], Serving],
        recorder: TakesTraces,
        repeats: Repeats,
        under_way: UnderWay,
        ended: Callable[[Turn], None] = lambda turn: None,
    ) -> None:
        self._student = student
        self._teachers = teachers
        self._serving = serving
        self._recorder = recorder
        self._repeats = repeats
        self._under_way = under_way
        self._ended = ended
        self._recent = Recent()

    @asynccontextmanager
    async def answer(self, turn: Turn) -> AsyncIterator[Whole | Live]:
        """The answer to a turn, while it lasts; when the block is left the turn is recorded.

        A student's answer comes whole and verified, or as the client asked for where it named the student. Raises
        GatewayError when nobody can answer; leaving the block early cancels all work.
        """
        try:
            async with self._under_way.until(turn.ask.deadline), AsyncExitStack() as stack:
                serving = turn.serving = self._serving(turn.ask)
                yield self._repeats.answer_to(turn, serving) or await self._reply(turn, serving, stack)
            turn.state = "completed"
            self._repeats.keep(turn)
        except Exception as error:
            turn.state, turn.error = "failed", f"{type(error).__name__}: {error}"
            raise
        finally:
            turn.end()
            self._recent.answered(turn.ask.conversation_key)
            self._teachers.count(turn)
            if turn.ask.traced:
                self._recorder.put(turn.trace())
            self._ended(turn)

    async def _reply(self, turn: Turn, serving: Serving, stack: AsyncExitStack) -> Whole | Live:
        barred = self._barred(turn.ask)
        look = serving.scorer.look(turn.ask.request)
        decided = self._before(turn.ask, serving.rules, look, barred)
        if decided is not None:
            turn.decision = decided
        else:
            turn.decision, drafted = await self._draft(turn, serving, look, barred, stack)
            if drafted is not None:
                return drafted
        try:
            return await self._relay(turn, barred, stack)
        except (BackendError, MemoryLeased, NoRoom, SpendLimit) as error:
            standing_in = await self._stand_in(turn, serving, look, error)
            if standing_in is None:
                raise
            return standing_in

    def _before(self, ask: Ask, rules: Rules, look: Look, barred: frozenset[ArmName]) -> Decision | None:
        decision = before(
            ask.request,
            rules,
            conversation=ask.conversation,
            requested=ask.requested,
            size=ask.size,
            barred=barred,
            idle=self._recent.idle(ask.conversation_key),
            chance=look.chance,
        )
        if decision is None and not barred and not self._student.is_ready:
            return Decision(arm="teacher", reason="student_failed", detail="not ready")
        return decision

    def _barred(self, ask: Ask) -> frozenset[ArmName]:
        """The arms that may not see the request."""
        if ask.rights.may_leave_machine:
            return frozenset()
        remote: dict[ArmName, bool] = {"student": self._student.remote, "teacher": self._teachers.remote}
        return frozenset(name for name, elsewhere in remote.items() if elsewhere)

    async def _draft(
        self, turn: Turn, serving: Serving, look: Look, barred: frozenset[ArmName], stack: AsyncExitStack
    ) -> tuple[Decision, Whole | Live | None]:
        if not self._student.up:
            with turn.waiting:
                await self._student.ready()  # only where there is no teacher to answer instead
        known, rules = self._student.capabilities, serving.rules
        surely = not rules.confidence or (known is not None and known.stream_logprobs)
        if rules.hold == "fast" and turn.ask.streamed and surely:
            return await drafting.draft_live(turn, self._student, serving, look, barred, stack)
        return await drafting.draft(turn, self._student, serving, look, barred)

    async def _relay(self, turn: Turn, barred: frozenset[ArmName], stack: AsyncExitStack) -> Whole | Live:
        """The answer of the arm that was decided on, as it comes; of several teachers, of the first that has one."""
        arms = self._arms_for(turn, barred)
        for arm in arms[:-1]:
            try:
                return await self._ask(arm, turn, stack)
            except BackendError as error:
                if not is_fault(error):
                    raise
                turn.tried.append(f"{arm.label}: {error}")
            except (MemoryLeased, NoRoom) as error:
                turn.tried.append(f"{arm.label}: {error}")
        return await self._ask(arms[-1], turn, stack)

    def _arms_for(self, turn: Turn, barred: frozenset[ArmName]) -> list[Arm]:
        """Who may answer what was decided. Raises MayNotLeave, SpendLimit or BackendUnreachable where nobody may."""
        decision = turn.decision
        if decision.arm == "student":
            if "student" in barred:
                raise MayNotLeave("This request may not leave the machine, and the student is elsewhere.")
            return [self._student]
        if "teacher" in barred and decision.reason == "student_failed":
            raise BackendUnreachable(
                f"The student failed ({decision.why}), and this key's requests may not leave the machine."
            )
        return self._teachers.willing(turn.ask.model, turn.ask.rights, decision.why)

    async def _ask(self, arm: Arm, turn: Turn, stack: AsyncExitStack) -> Whole | Live:
        since = turn.elapsed
        with turn.call(arm) as call:
            with turn.waiting:
                await arm.ready()
            call.model = turn.ask.model or arm.model
            turn.asked = arm.label
            ours = wants_ids(turn, arm)
            body = {**turn.ask.body, "model": call.model, **ours, **between_us(turn, arm)}
            if arm.prompting is not None:
                body["messages"] = arm.prompting.messages(turn.ask.request, body["messages"])
            if not turn.ask.streamed:
                with turn.waiting:
                    raw = await arm.backend.complete(msgspec.json.encode(body))
                call.began()
                turn.mark("first_byte")
                turn.mark(arm.name, since)
                call.response = read(raw)
                keep(turn, call.response)
                return Whole(msgspec.json.encode(without_ids(msgspec.json.decode(raw))) if ours else raw, call.response)
            body["stream_options"] = {**(turn.ask.body.get("stream_options") or {}), "include_usage": True}
            with turn.waiting:
                batches = await stack.enter_async_context(arm.backend.stream(msgspec.json.encode(body)))
            call.began()
            turn.mark("first_byte")
            passing = collected(turn, call, arm.name, since, batches, plain=Event.without_ids if ours else None)
            stack.push_async_callback(passing.aclose)  # so that the turn holds what was said before it is recorded
            return Live(passing)

    async def _stand_in(self, turn: Turn, serving: Serving, look: Look, error: GatewayError) -> Whole | None:
        """The student's verified draft where no teacher can answer and the rules allow it; None: there is none."""
        decision, rules = turn.decision, serving.rules
        if decision.reason == "student_failed" and serving.usual is not None:
            serving = serving.usual  # an experiment must not cost an answer
            look = serving.scorer.look(turn.ask.request)
        elif not may_stand_in(decision, rules) or (isinstance(error, SpendLimit) and decision.reason != "experiment"):
            return None
        if turn.draft is not None or not self._student.is_ready:
            return None
        decided, drafted = await drafting.draft(turn, self._student, serving, look, frozenset())
        if drafted is not None:
            turn.decision = msgspec.structs.replace(decided, reason="teacher_failed", detail=str(error)[:200])
            turn.asked = ""
        return drafted
