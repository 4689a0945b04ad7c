"""`python -m tests.bench [ONLY=name]`: run the benchmarks, one JSON line each."""

from __future__ import annotations

import sys

import msgspec

from tests.bench import gateway_latency

BENCHES = dict.fromkeys(gateway_latency.NAMES, gateway_latency.run)


def main(arguments: list[str]) -> int:
    only = [argument.partition("=")[2] for argument in arguments if argument.startswith("ONLY=")]
    only = [name for name in only if name]
    unknown = [name for name in only if name not in BENCHES]
    if unknown:
        sys.stderr.write(f"there is no benchmark {unknown[0]}; there are {', '.join(BENCHES)}\n")
        return 1
    for name in only or BENCHES:
        sys.stdout.write(msgspec.json.encode(BENCHES[name](name)).decode() + "\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
