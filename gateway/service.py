"""The gateway as one thing: its settings, its parts, and their start and stop in the right order.

Owns the wiring alone. Knows nothing of HTTP on the client's side.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog

from distill.redact.key import key_at
from gateway.access.admission import Admission
from gateway.access.keys import KeyRing, admin_key
from gateway.access.underway import UnderWay
from gateway.answering.answer import Cascade
from gateway.answering.arms import Arm
from gateway.answering.cache import ResponseCache
from gateway.answering.names import Names
from gateway.answering.pace import Pace
from gateway.answering.promotion import Live, Promotion
from gateway.answering.repeats import Repeats
from gateway.answering.routing import Routing
from gateway.answering.serving import Serving
from gateway.answering.teachers import Teachers
from gateway.answering.turn import Turn
from gateway.build import Builder, Crew, prices_of, prompting_named, teachers_of
from gateway.changes import Change, possible
from gateway.errors import BackendError, Conflict, SettingsError, StartError, TracesBusy
from gateway.experiments.book import Book, Entry
from gateway.experiments.canaries import Canaries
from gateway.experiments.handles import Handles
from gateway.experiments.labelling import Labelling
from gateway.experiments.running import Experiments
from gateway.forgetting import drop_prefixes
from gateway.processes.home import HomeLock
from gateway.processes.lease import Leases
from gateway.processes.supervisor import Supervisor
from gateway.recording.frames import Orders
from gateway.recording.recorder import Recorder
from gateway.sections import LOOPBACK, Settings
from gateway.settings import Home, check_servable, keys_file
from gateway.watching.metrics import Metrics, States
from gateway.watching.requestlog import RequestLog
from router.canary import Pace as CanaryPace
from router.policy import Rules

if TYPE_CHECKING:
    from gateway.watching.telemetry import Telemetry

_log = structlog.get_logger("service")

_FORGET_SECONDS = 30.0  # how long a client waits for what is forgotten


class Gateway:
    """Everything that runs by day. `start` and `stop` frame its life; until then nothing runs.

    `reread` reads the settings anew. Making one raises SettingsError, and StartError where another one serves the
    home. `watchers` hear of every turn that is over.
    """

    def __init__(self, settings: Settings, home: Home, reread: Callable[[], Settings]) -> None:
        self.home = home
        self._reread = reread
        self._alone = HomeLock(home.data)
        self._alone.take()  # before anything is read that another gateway may be about to write
        self.leases = Leases(time.monotonic)
        self.supervisor = Supervisor(settings.gateway.memory_bytes)
        self.supervisor.room.leased = self.leases.held
        self._builder = Builder(home, self.supervisor)
        self.crew = self._builder.crew(settings)
        kept = settings.traces
        self.recorder = Recorder(
            Orders.of(home.data, keep_days=kept.keep_days, keep_bytes=kept.keep_bytes),
            limit=kept.waiting_bytes,
            flush=kept.flush_seconds,
        )
        self.forgetting: list[Callable[[Iterable[str]], None]] = []
        """Who holds answers elsewhere: told the ids, as clients saw them, of answers that are forgotten."""
        self.promotion = Promotion(home, self.crew.student)
        self.routing = Routing(home)
        self.pace = Pace()
        self.cache = ResponseCache(time.monotonic)
        self.under_way = UnderWay()
        self._book = _book(home)
        self.labelling = Labelling(self.under_way, self.recorder, lambda: self.settings.canary.quiet)
        self.canaries = Canaries(
            self._book,
            self.promotion,
            self.labelling,
            lambda: _canary_pace(self.settings),
            self.under_way.those_now,
        )
        self.experiments = Experiments(
            self._book,
            self.canaries,
            self.promotion,
            home.models / "adapters",
            prompting_named,
            lambda: self.settings.router.holdout,
        )
        self.handles = Handles(self.promotion, self.canaries, self.experiments, home.models / "adapters")
        self.metrics = Metrics(
            States(
                lambda: self.arms,
                self.supervisor.processes,
                self._builder.spends,
                lambda: self.recorder.status,
                self.leases.lent,
            )
        )
        self.telemetry = _telemetry(settings)
        self.admission = Admission(
            KeyRing(keys_file(home)),
            public=settings.gateway.host not in LOOPBACK,
            at_once=settings.gateway.max_at_once,
        )
        self._forgetting: set[asyncio.Task[list[str]]] = set()
        self._reloading = asyncio.Lock()
        self._retiring: dict[asyncio.Task[None], list[Arm]] = {}
        self._take_up(self.crew)

    @property
    def settings(self) -> Settings:
        return self.crew.settings

    @property
    def student(self) -> Arm:
        return self.crew.student

    @property
    def teachers(self) -> Teachers:
        return self.crew.teachers

    @property
    def arms(self) -> list[Arm]:
        return self.crew.arms

    async def start(self) -> None:
        self.admission.admin_key = admin_key(self.home.data / "admin.key")
        self.admission.ring.load()
        await self._open(self.crew, self.arms)
        await self.recorder.start()
        if self.telemetry is not None:
            self.telemetry.start()
        await self.supervisor.start()
        self.labelling.start()
        self._welcome(self.arms)

    async def stop(self) -> None:
        await self.labelling.stop()
        await self.canaries.stop()
        for task, arms in list(self._retiring.items()):
            task.cancel()
            for arm in arms:
                await arm.close()
        for arm in self.arms:
            await arm.close()
        await self.supervisor.stop()
        await self.recorder.stop()
        for forgetting in list(self._forgetting):  # what the recorder still heard of is dropped elsewhere too
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(forgetting, 1.0)
        self._book.close()
        for spend in self._builder.spends.values():
            await spend.stop()
        if self.telemetry is not None:
            await self.telemetry.stop()
        self._alone.leave()

    async def reload(self) -> Change:
        """Take up what has changed in the settings, for requests from now on.

        Raises Conflict for settings that are wrong; then nothing changes.
        """
        async with self._reloading:
            try:
                change = possible(self.settings, self._reread())
                crew = self._builder.crew(check_servable(change.settings), self.crew)
                new = [arm for arm in crew.arms if arm not in self.arms]
                await self._open(crew, new)
            except StartError as error:
                _log.error("settings stay as they were", error=str(error))
                raise Conflict(f"The settings stay as they were: {error}") from error
            if crew.student in new:
                await self.promotion.exchange(crew.student)
            if crew.student in new or crew.teachers.models != self.teachers.models:
                self.canaries.restart()
            gone = [arm for arm in self.arms if arm not in crew.arms]
            self._take_up(crew)
            self._welcome(new)
            self._retire(gone)
        _log.info("settings taken up", changed=change.changed, left_until_the_next_start=change.left)
        return change

    def _take_up(self, crew: Crew) -> None:
        """From here on requests are this crew's."""
        self.crew = crew
        limits = crew.settings.gateway
        self.admission.limits.at_once = limits.max_at_once
        self.cache.bound(limits.cache_bytes, limits.cache_seconds)
        for label, backend in teachers_of(crew.settings).items():
            crew.teachers.spends[label].prices = prices_of(backend)
        self.names = Names(crew.student, crew.teachers, self.promotion, crew.settings.aliases)
        serving = partial(self.experiments.serving, partial(_serving, crew, self.routing, self.pace))
        repeats = Repeats(self.cache, crew.student, crew.teachers, serving)
        everyone = crew.student, crew.teachers, serving, self.recorder, repeats, self.under_way
        self.cascade = Cascade(*everyone, self._ended)
        self.labelling.take_up(Cascade(*everyone), crew.teachers)  # nobody hears of these turns: no client's they are
        self.watchers = self._watchers(crew.settings)

    async def _open(self, crew: Crew, new: list[Arm]) -> None:
        for spend in crew.teachers.spends.values():
            spend.start()
        for arm in new:
            await arm.backend.open()

    def _welcome(self, new: list[Arm]) -> None:
        for arm in new:
            if arm.eager:
                arm.get_ready()

    def _retire(self, gone: list[Arm]) -> None:
        """Close arms once the requests that may still ask them have ended."""

        async def close() -> None:
            await self.under_way.those_now()
            for arm in gone:
                await arm.close()

        if gone:
            task = asyncio.create_task(close(), name="retire")
            self._retiring[task] = gone
            task.add_done_callback(self._retiring.pop)

    def status(self) -> dict[str, Any]:
        """What runs, as /health and /admin/status tell it."""
        processes = {
            p.settings.name: {"pid": p.pid, "ready": p.generation > 0, "restarts": p.restarts}
            for p in self.supervisor.processes
        }
        return {
            "student": _told(self.student),
            "teacher": _told(self.teachers.first),
            "teachers": {arm.label: _told(arm) for arm in self.teachers.arms[1:]},
            "processes": processes,
            "traces": self.recorder.status,
        }

    async def forget(self, traces: Sequence[str]) -> list[str]:
        """Forget traces and those that go on from them, wherever they are kept; their ids.

        Raises TracesBusy where that takes too long; it is done as soon as it can be, everywhere.
        """
        task = asyncio.create_task(self._forget(traces), name="forget")
        self._forgetting.add(task)
        task.add_done_callback(self._forgetting.discard)
        try:
            return await asyncio.wait_for(asyncio.shield(task), _FORGET_SECONDS)
        except TimeoutError as error:
            raise TracesBusy from error

    async def _forget(self, traces: Sequence[str]) -> list[str]:
        gone = await self.recorder.forget(traces)
        self.cache.forget(gone.keys())
        for forget in self.forgetting:
            forget(gone.values())
        if gone:
            drop_prefixes(self.home.data)
        return list(gone)

    async def propose(self, adapter: str, path: str, verdict: dict[str, Any]) -> Live | Entry:
        """Put an adapter to work: for a growing share of the conversations, or at once where the settings want that,
        or nobody would be answered by it anyhow. Raises what Promotion.propose does, and Conflict where it may not."""
        live = self.promotion.serving
        if live is not None and live.adapter == adapter:  # it was put to work before, and whoever did never knew
            return await self.promotion.propose(adapter, path, verdict)
        self.canaries.check(adapter)
        beside, now = verdict.get("beside"), live.adapter if live is not None else ""
        if isinstance(beside, str) and beside != now:
            raise Conflict(
                f"{adapter} was judged beside {beside or 'the base'}, and {now or 'the base'} serves now: the next "
                "night compares them."
            )
        rules = _rules(self.crew, self.routing, self.pace, adapter)
        exposed = rules.policy == "cascade" and (rules.certificate is not None or rules.uncertified == "serve")
        if not (self.canaries.running or (self.settings.canary.on and exposed)):
            return await self.promotion.propose(adapter, path, verdict)
        await self.promotion.admit(adapter, path, verdict)
        return self.canaries.begin(adapter, self.promotion.adapters[adapter])

    async def memory(self) -> dict[str, int]:
        """Peak memory in bytes of the local processes behind the arms."""
        told: dict[str, int] = {}
        for arm in self.arms:
            if arm.local and arm.up:
                with contextlib.suppress(BackendError):
                    told[arm.label] = await arm.backend.peak_memory()
        return told

    def _ended(self, turn: Turn) -> None:
        for watch in self.watchers:
            try:
                watch(turn)
            except Exception as error:  # noqa: BLE001 - who watches must not cost an answer
                _log.error("a turn was not watched", exc_info=error, trace=turn.id)

    def _watchers(self, settings: Settings) -> list[Callable[[Turn], None]]:
        found: list[Callable[[Turn], None]] = [self.metrics.ended, self.pace.ended, self.canaries.ended]
        if settings.gateway.log != "off":
            found.append(RequestLog(content=settings.gateway.log_content).ended)
        if self.telemetry is not None:
            found.append(self.telemetry.ended)
        return found


def _book(home: Home) -> Book:
    home.data.mkdir(parents=True, exist_ok=True)
    return Book(home.data / "experiments.db", key_at(home.data / "redact.key"))


def _serving(crew: Crew, routing: Routing, pace: Pace, adapter: str | None) -> Serving:
    """With what a request is answered where the student has this adapter; None: the live one."""
    adapter = crew.student.live if adapter is None else adapter
    return Serving(_rules(crew, routing, pace, adapter), adapter, routing.scorer(adapter))


def _rules(crew: Crew, routing: Routing, pace: Pace, adapter: str) -> Rules:
    router, student = crew.settings.router, crew.student
    known = student.capabilities
    return Rules(
        policy=router.policy,
        uncertified=router.uncertified,
        taught=bool(adapter) or not student.local,
        confidence=router.confidence,
        holdout=0.0 if crew.teachers.spent else router.holdout,  # nobody is there to be compared with
        hold=router.hold,
        teacher_down=router.teacher_down,
        grammar=known is not None and known.grammar,
        context=crew.settings.student.context or (known.context if known is not None else 0),
        certificate=routing.certificate(adapter, crew.teachers.models),
        worth=pace.worth if router.drafts == "faster" else 0.0,
    )


def _canary_pace(settings: Settings) -> CanaryPace:
    chosen = settings.canary
    return CanaryPace(
        conversations=chosen.conversations,
        seconds=chosen.seconds,
        enough=chosen.enough,
        fewest=min(CanaryPace().fewest, chosen.enough),
        longest=chosen.days * 86_400,
        worse=chosen.worse,
    )


def _telemetry(settings: Settings) -> Telemetry | None:
    """None where the settings name no collector. Raises SettingsError where the packages for it are missing."""
    endpoint, own = settings.telemetry.otlp_endpoint, settings.gateway
    if not endpoint:
        return None
    try:
        from gateway.watching.telemetry import Telemetry  # brings the SDK, which is an extra
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"telemetry.otlp_endpoint needs a package that is not here ({error.name}): "
            "install Nightschool with its extra 'otel'"
        ) from error
    return Telemetry(endpoint, content=own.log_content, host=own.host, port=own.port)


def _told(arm: Arm) -> dict[str, Any]:
    """What /health says of an arm. `eager`: whether it is made ready when the gateway starts, and not when it is first
    asked; `rests`: seconds for which it is left alone after failures."""
    patience = arm.backend.patience
    rests = round(patience.breaker.waits, 1)
    told = {
        "model": arm.model,
        "ready": arm.up,
        "eager": arm.eager,
        "in_flight": arm.backend.in_flight,
        "waiting": patience.waiting,
    }
    return {**told, "rests": rests} if rests else told
