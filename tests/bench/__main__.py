"""`python -m tests.bench [ONLY=name,name] [SIZE=tiny] ...`: run the benchmarks, one JSON line each.

Without ONLY everything runs but the soak, the window, the large store and the building of a dataset, which have to be
named. tests/bench/options.py says what else there is.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import msgspec

from tests.bench import (
    adapter_swap,
    agent_load,
    dataset_build,
    gateway_latency,
    grammar,
    greedy_parity,
    router_decision,
    soak,
    throughput,
    traces,
    train_shared,
    window,
)
from tests.bench.machine import machine, versions
from tests.bench.options import OptionError, Options, read

Run = Callable[[Options], dict[str, Any]]

BENCHES: dict[str, Run] = {
    **gateway_latency.RUNS,
    **traces.RUNS,
    **traces.RUNS_BY_NAME,
    **agent_load.RUNS,
    **adapter_swap.RUNS,
    **throughput.RUNS,
    **greedy_parity.RUNS,
    **grammar.RUNS,
    **router_decision.RUNS,
    **window.RUNS,
    **dataset_build.RUNS,
    **train_shared.RUNS,
    **soak.RUNS,
}
_ONLY_BY_NAME = (*soak.RUNS, *window.RUNS, *traces.RUNS_BY_NAME, *dataset_build.RUNS, *train_shared.RUNS)


def main(words: list[str]) -> int:
    try:
        options = read(words)
    except OptionError as error:
        return _refuse(str(error))
    unknown = [name for name in options.only if name not in BENCHES]
    if unknown:
        return _refuse(f"there is no benchmark {unknown[0]}; there are {', '.join(BENCHES)}")
    for name in options.only or [name for name in BENCHES if name not in _ONLY_BY_NAME]:
        sys.stdout.write(msgspec.json.encode(_line(name, options)).decode() + "\n")
        sys.stdout.flush()
    return 0


def _line(name: str, options: Options) -> dict[str, Any]:
    found = machine()  # before the run: what was busy then was not us
    return {"name": name, "peers": {}, **BENCHES[name](options), "versions": versions(), "machine": found}


def _refuse(reason: str) -> int:
    sys.stderr.write(reason + "\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
