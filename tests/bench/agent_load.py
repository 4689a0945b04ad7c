"""Agents at work, against the peers: the load of load.py, and one stream alone.

Wall time, time to first token by turn, prompt tokens computed and the least possible, output tokens.
"""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Callable
from typing import Any

from distill.render import Renderer
from tests.bench import load, wire
from tests.bench.load import Outcome, Shape
from tests.bench.options import Options
from tests.bench.peers import ENGINE, Field, field_of
from tests.bench.servers import Server

_ROUNDS = 3
_FULL, _TINY = Shape(), Shape(conversations=2, turns=2, output=8)
_ALONE = 128  # tokens of the stream that is alone


def agent_load(options: Options) -> dict[str, Any]:
    """`value` is the engine's wall time; `ratio` that to the better peer's."""
    shape = _TINY if options.tiny else _FULL
    with field_of(options, _trial(options)) as field:
        found = field.measure(lambda server: _converse(server, field.renderer, shape), _rounds(options))
    lines = {name: _summary(outcomes) for name, outcomes in found.items()}
    own = lines.pop(ENGINE)
    least = statistics.median(load.least_possible(run.warm, load.by_turn(run)) for run in found[ENGINE])
    own |= {"least_possible": least, "computed_ratio": round(own["computed"] / least, 4)}
    wall = own.pop("wall")
    return {"value": wall, "unit": "s wall", **own, "shape": str(shape), **_compared(wall, lines, "wall", field)}


def single_stream(options: Options) -> dict[str, Any]:
    """`value` is the engine's tokens a second while it decodes for one client alone."""
    tokens = 8 if options.tiny else _ALONE

    def trial(server: Server, _: Renderer) -> float:
        return 1 / asyncio.run(_decode_alone(server, tokens // 4))

    with field_of(options, trial) as field:
        found = field.measure(lambda server: asyncio.run(_decode_alone(server, tokens)), _rounds(options))
    rates = {name: round(statistics.median(rates), 2) for name, rates in found.items()}
    own = rates.pop(ENGINE)
    lines = {name: {"rate": rate} for name, rate in rates.items()}
    return {"value": own, "unit": "tokens/s, one stream", **_compared(own, lines, "rate", field)}


def _rounds(options: Options) -> int:
    return options.rounds or (1 if options.tiny else _ROUNDS)


def _trial(options: Options) -> Callable[[Server, Renderer], float]:
    """Half the conversations, two turns: enough to tell the better of two settings."""
    shape = Shape(conversations=2, turns=1, output=8) if options.tiny else Shape(conversations=4, turns=2)
    return lambda server, renderer: _converse(server, renderer, shape).wall


def _converse(server: Server, renderer: Renderer, shape: Shape) -> Outcome:
    """Peers ignore that token ids are wanted, too."""
    return asyncio.run(load.run(server, renderer, shape, return_token_ids=True)).whole()


def _summary(outcomes: list[Outcome]) -> dict[str, Any]:
    def median(figures: list[float]) -> float:
        return round(statistics.median(figures), 3)

    last = len(outcomes[0].answers[0])
    second, fourth = (median([outcome.first(turn) for outcome in outcomes]) for turn in (2, last))
    return {
        "wall": median([outcome.wall for outcome in outcomes]),
        "walls": [round(outcome.wall, 2) for outcome in outcomes],
        "first_token": {"turn 2": second, f"turn {last}": fourth, "ratio": round(fourth / second, 3)},
        "prompt_tokens": median([outcome.prompt_tokens for outcome in outcomes]),
        "computed": median([outcome.computed for outcome in outcomes]),
        "output_tokens": median([outcome.output_tokens for outcome in outcomes]),
    }


async def _decode_alone(server: Server, tokens: int) -> float:
    """The median of three questions."""
    rates = []
    async with wire.session() as http:
        for number in range(3):
            body = load.request(server, load.conversation(number), tokens)
            answer = await wire.must(http, server.url, body)
            rates.append((answer.output_tokens - 1) / (answer.times[-1] - answer.times[0]))
    return statistics.median(rates)


def _compared(own: float, lines: dict[str, dict[str, Any]], key: str, field: Field) -> dict[str, Any]:
    """The peers' lines, the ratio to each, and `ratio`, to the best of them: the least seconds, or the most tokens."""
    ratios = {name: round(own / line[key], 3) for name, line in lines.items()}
    best = (max if key == "wall" else min)(ratios.values())
    missing = {name: {"missing": reason} for name, reason in field.missing.items()}
    return {"ratio": best, "ratios": ratios, "peers": {**lines, **missing}, "settings": field.settings}


RUNS = {"agent-load": agent_load, "single-stream": single_stream}
