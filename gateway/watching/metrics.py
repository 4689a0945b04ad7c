"""What the gateway counts, in Prometheus' form. Owns the names and the registry, its own for each gateway.

Turns are counted when they have ended, errors when a client is told one. What is a state is read at each scrape. No
label tells who asked or what. Knows nothing of routes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol, TypeVar

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gateway.access.spend import Spend
from gateway.answering.arms import Arm
from gateway.answering.turn import Turn
from gateway.errors import CODES, code_of
from gateway.recording.recorder import RecorderStatus

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_PREFIX = "nightschool_"
_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300)
_OVERHEAD = (0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1)

Child = TypeVar("Child", Counter, Histogram)


class ProcessState(Protocol):
    """A local process, as the supervisor gives it."""

    @property
    def name(self) -> str: ...
    @property
    def generation(self) -> int: ...
    @property
    def restarts(self) -> int: ...


class _Children(dict[tuple[str, ...], Child]):
    """A metric's children by their labels; `labels` itself takes ten times as long."""

    def __init__(self, metric: Child) -> None:
        self._metric: Child = metric

    def __missing__(self, labels: tuple[str, ...]) -> Child:
        child: Child = self._metric.labels(*labels)
        self[labels] = child
        return child


class Metrics:
    """Everything at GET /metrics."""

    def __init__(self, states: Collector) -> None:
        registry = self._registry = CollectorRegistry()
        registry.register(states)

        def counter(name: str, told: str, *labels: str) -> _Children[Counter]:
            return _Children(Counter(_PREFIX + name, told, labels, registry=registry))

        def histogram(name: str, told: str, label: str, buckets: Sequence[float]) -> _Children[Histogram]:
            return _Children(Histogram(_PREFIX + name, told, [label], buckets=buckets, registry=registry))

        self._requests = counter(
            "requests", "Requests that are over, by how they ended.", "wire", "arm", "reason", "state"
        )
        self._seconds = histogram("request_seconds", "From a request's arrival to its end.", "arm", _SECONDS)
        self._first = histogram("first_byte_seconds", "From a request's arrival to its first byte.", "arm", _SECONDS)
        self._overhead = histogram(
            "overhead_seconds", "The gateway's own part of a request: no model was waited for.", "streamed", _OVERHEAD
        )
        self._tokens = counter("tokens", "Tokens of answers, as the models told them.", "arm", "kind")
        self._drafts = counter("drafts", "Drafts of the student, by what was decided on them.", "outcome")
        wasted = "Tokens of drafts that nobody was shown."
        self._wasted = Counter(_PREFIX + "draft_tokens_wasted", wasted, registry=registry)
        self._errors = counter("errors", "Errors that clients were told, by their code.", "code")
        for code in CODES:
            self._errors[code,]  # there from the start, so that the first error is seen as a rise

    def ended(self, turn: Turn) -> None:
        """A turn is over."""
        decision, seconds = turn.decision, turn.seconds
        self._requests[turn.ask.wire, decision.arm, decision.reason, turn.state].inc()
        self._seconds[decision.arm,].observe(seconds["total"])
        if "first_byte" in seconds:
            self._first[decision.arm,].observe(seconds["first_byte"])
        self._overhead["true" if turn.ask.streamed else "false",].observe(seconds["overhead"])
        if turn.usage is not None:
            self._tokens[decision.arm, "prompt"].inc(max(0, turn.usage.prompt_tokens))
            self._tokens[decision.arm, "cached"].inc(max(0, turn.usage.cached_tokens))
            self._tokens[decision.arm, "completion"].inc(max(0, turn.usage.completion_tokens))
        for call in turn.calls:
            if call.is_draft:
                self._drafts[call.decision.reason if call.decision is not None else "aborted",].inc()
                if call.wasted:
                    self._wasted.inc(max(0, call.generated))

    def refused(self, error: Exception) -> None:
        """A client is told an error, as its answer or at the end of a stream."""
        self._errors[code_of(error),].inc()

    def page(self) -> bytes:
        """The text that Prometheus reads."""
        return bytes(generate_latest(self._registry))


class States(Collector):
    """What is so at the moment of a scrape."""

    def __init__(
        self,
        arms: Callable[[], Sequence[Arm]],
        processes: Sequence[ProcessState],
        spends: Mapping[str, Spend],
        traces: Callable[[], RecorderStatus],
        leased: Callable[[], int],
    ) -> None:
        self._arms = arms
        self._processes = processes
        self._spends = spends
        self._traces = traces
        self._leased = leased

    def describe(self) -> list[Metric]:
        return []  # so that registering does not collect: nothing has started yet

    def collect(self) -> Iterator[Metric]:
        yield from self._backends()
        yield from self._local()
        yield from self._spending()
        names = ("waiting", "written", "spooled", "dropped")
        waiting, written, spooled, dropped = (_PREFIX + f"traces_{name}" for name in names)
        traces = self._traces()
        yield GaugeMetricFamily(waiting, "Traces that wait to be written.", traces.waiting)
        yield CounterMetricFamily(written, "Traces written to the store.", traces.written)
        yield GaugeMetricFamily(spooled, "Traces on disk that the store could not take yet.", traces.spooled)
        yield CounterMetricFamily(dropped, "Traces lost, as too many waited.", traces.dropped)
        yield GaugeMetricFamily(_PREFIX + "leased_bytes", "Bytes of memory lent to the night.", self._leased())

    def _backends(self) -> Iterator[Metric]:
        arms = {arm.label: arm for arm in self._arms()}
        told: dict[str, tuple[str, Callable[[Arm], float]]] = {
            "ready": ("1 while the backend can be asked.", lambda arm: arm.up),
            "in_flight": ("Calls that the backend has under way.", lambda arm: arm.backend.in_flight),
            "waiting": ("Requests that wait for a place at the backend.", lambda arm: arm.backend.patience.waiting),
            "resting_seconds": (
                "For how long the backend is left alone after failures; 0: it is not.",
                lambda arm: arm.backend.patience.breaker.waits,
            ),
        }
        for name, (words, of) in told.items():
            family = GaugeMetricFamily(f"{_PREFIX}backend_{name}", words, labels=["backend"])
            yield _filled(family, {label: of(arm) for label, arm in arms.items()})

    def _local(self) -> Iterator[Metric]:
        up = {process.name: process.generation > 0 for process in self._processes}
        restarts = {process.name: process.restarts for process in self._processes}
        name, label = _PREFIX + "process_", ["process"]
        yield _filled(GaugeMetricFamily(name + "up", "1 while the local process answers.", labels=label), up)
        told = "Starts of the local process after its first."
        yield _filled(CounterMetricFamily(name + "restarts", told, labels=label), restarts)

    def _spending(self) -> Iterator[Metric]:
        spent = {name: spend.today.spent for name, spend in self._spends.items()}
        limits = {name: spend.limit for name, spend in self._spends.items()}
        name, label = _PREFIX + "spend_", ["teacher"]
        told = "What the teacher has cost today (UTC), in the currency of its prices."
        yield _filled(GaugeMetricFamily(name + "today", told, labels=label), spent)
        yield _filled(GaugeMetricFamily(name + "limit", "What it may cost in a day; 0: any.", labels=label), limits)


def _filled(family: GaugeMetricFamily | CounterMetricFamily, values: Mapping[str, float]) -> Metric:
    """The family with a sample for each value of its label."""
    for value, amount in values.items():
        family.add_metric([value], float(amount))
    return family
