"""What the engine counts, in Prometheus' form. Owns the names and the registry, its own for each engine.

Figures of the generation side are read from it at each scrape; those of requests are told here as they happen. Knows
nothing of routes, nor of how anything is computed.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gateway.engine.inference.job import Event, Job, Token
from gateway.engine.served import ServedModel

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_PREFIX = "nightschool_engine_"
_FIRST = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)  # seconds
_BETWEEN = (0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.15, 0.25, 0.5, 1, 2.5)


@dataclass
class Timeline:
    """When a job's request arrived, when its first token came and when its newest; time.monotonic, None: not yet."""

    arrived: float
    first: float | None = None
    newest: float | None = None


class Metrics:
    """Everything at GET /metrics."""

    def __init__(self, served: ServedModel) -> None:
        self._timelines: WeakKeyDictionary[Job, Timeline] = WeakKeyDictionary()
        registry = self._registry = CollectorRegistry()
        registry.register(_Figures(served))
        self._requests = Counter(
            _PREFIX + "requests", "Chat requests that are over, by how they ended.", ["outcome"], registry=registry
        )
        self._refusals = Counter(
            _PREFIX + "refusals", "Calls answered with an error, by its code.", ["reason"], registry=registry
        )
        self._first = Histogram(
            _PREFIX + "time_to_first_token_seconds",
            "From a request's arrival to its first token.",
            buckets=_FIRST,
            registry=registry,
        )
        self._between = Histogram(
            _PREFIX + "inter_token_seconds",
            "Between two tokens of one answer.",
            buckets=_BETWEEN,
            registry=registry,
        )

    def begun(self, job: Job, arrived: float) -> Timeline:
        """A job is about to run for a request that arrived then."""
        self._timelines[job] = timeline = Timeline(arrived)
        return timeline

    def heard(self, job: Job, event: Event) -> None:
        """An event of a job; on the event loop."""
        timeline = self._timelines.get(job)
        if timeline is None or not isinstance(event, Token):
            return
        now = time.monotonic()
        if timeline.newest is None:
            timeline.first = now
            self._first.observe(now - timeline.arrived)
        else:
            self._between.observe(now - timeline.newest)
        timeline.newest = now

    def ended(self, outcome: str) -> None:
        """A chat request is over: its finish reason, or "left", "refused" or "failed"."""
        self._requests.labels(outcome).inc()

    def refused(self, reason: str) -> None:
        """A call was answered with an error of this code."""
        self._refusals.labels(reason).inc()

    def page(self) -> bytes:
        """The text that Prometheus reads."""
        return bytes(generate_latest(self._registry))


class _Figures(Collector):
    """The generation side's figures, fresh at each scrape."""

    def __init__(self, served: ServedModel) -> None:
        self._served = served

    def describe(self) -> list[Metric]:
        return []  # so that registering does not collect: the model may not be open yet

    def collect(self) -> Iterator[Metric]:
        generator = self._served.generator
        stats = generator.stats()
        now, peak = self._served.memory()
        totals = {
            "prompt_tokens_computed": ("Prompt tokens computed.", stats.prompt_tokens_computed),
            "prompt_tokens_cached": ("Prompt tokens found in the prefix cache.", stats.prompt_tokens_cached),
            "generated_tokens": ("Tokens generated.", stats.generated),
            "steps": ("Forward passes.", stats.steps),
            "guessed_tokens": ("Tokens guessed and checked.", stats.guessed),
            "guessed_tokens_right": ("Of those, tokens that came true.", stats.guessed_right),
            "prefix_cache_hits": ("Prompts that began with a kept prefix.", stats.cache_hits),
            "prefix_cache_evictions": ("Prefixes given up to make room.", stats.cache_evictions),
        }
        states = {
            "queue_length": ("Requests that wait.", stats.queued),
            "running": ("Requests under way.", stats.running),
            "filling": ("Of those, requests whose prompt is being computed.", stats.filling),
            "batch_size": ("Of those, requests decoded together.", stats.running - stats.filling),
            "prefix_cache_bytes": ("Bytes of kept prefixes.", stats.cache_bytes),
            "memory_bytes": ("Bytes in live arrays.", now),
            "memory_peak_bytes": ("The most bytes the process ever took.", peak),
            "memory_budget_bytes": ("Bytes the engine may take.", stats.budget_bytes),
            "adapters_loaded": ("Adapters that requests can name.", len(self._served.adapters)),
            "generation_alive": ("1 while the generation thread lives.", int(generator.alive)),
            "stalled_seconds": ("Seconds without a step while there is work.", stats.last_step_age),
        }
        for name, (told, total) in totals.items():
            yield CounterMetricFamily(_PREFIX + name, told, value=total)
        for name, (told, state) in states.items():
            yield GaugeMetricFamily(_PREFIX + name, told, value=state)
