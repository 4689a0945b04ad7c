"""What can be seen of a running gateway from outside: its figures and its log."""

from __future__ import annotations

import time
import urllib.request
from collections.abc import Callable
from typing import Any

import msgspec
from prometheus_client.parser import text_string_to_metric_families

from tests.gateway.running import Running

Figures = dict[str, float]


def page(gateway: Running) -> str:
    shown = {"authorization": f"Bearer {gateway.key}"} if gateway.key else {}
    request = urllib.request.Request(gateway.url + "/metrics", headers=shown)
    with urllib.request.urlopen(request, timeout=10) as reply:
        assert reply.headers["content-type"].startswith("text/plain; version=0.0.4")
        return str(reply.read().decode())


def figures(gateway: Running) -> Figures:
    """Every sample as name{label="value",...}, without the prefix; buckets and times of creation left out."""
    found = {}
    for family in text_string_to_metric_families(page(gateway)):
        for sample in family.samples:
            if not sample.name.endswith(("_bucket", "_created")):
                labels = ",".join(f'{name}="{value}"' for name, value in sample.labels.items())
                found[sample.name.removeprefix("nightschool_") + (f"{{{labels}}}" if labels else "")] = sample.value
    return found


def risen(before: Figures, after: Figures, *names: str) -> Figures:
    """By how much the samples of these metrics have changed; those that have not are left out."""
    changes = {key: value - before.get(key, 0.0) for key, value in after.items() if key.partition("{")[0] in names}
    return {key: change for key, change in changes.items() if change}


def until(gateway: Running, holds: Callable[[Figures], bool]) -> Figures:
    """The figures as soon as they are so: a turn ends a moment after its answer has arrived."""
    end = time.monotonic() + 10
    while not holds(found := figures(gateway)):
        assert time.monotonic() < end, found
        time.sleep(0.02)
    return found


def ended(found: Figures) -> float:
    return sum(value for key, value in found.items() if key.startswith("requests_total"))


def lines(gateway: Running) -> list[dict[str, Any]]:
    """The log of a gateway that logs JSON: every line of it must be some."""
    return [msgspec.json.decode(line) for line in gateway.log.read_bytes().splitlines()]


def requests(gateway: Running) -> list[dict[str, Any]]:
    return [line for line in lines(gateway) if line["event"] == "request"]
