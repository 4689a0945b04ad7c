"""What a decision costs: gate before the draft, form of the draft, gate behind it. No model, no socket.

Each request is decoded anew, as it comes from a client, so that no string knows its hash; decoding is not counted. The
gates have weights for all features and words, and a thousand patterns on record.
"""

from __future__ import annotations

import random
import statistics
import time
from typing import Any

import msgspec

from router.chat import AnswerMessage, ChatRequest, Choice, ChoiceLogprobs, FunctionCall, TokenLogprob, ToolCall
from router.features.request import WORDS
from router.gate import POST_NAMES, PRE_NAMES, Record, Weights
from router.policy import Rules, after, before
from router.scorer import Gates, Learnt
from tests.bench.options import Options

_RUNS = 400
_RULES = Rules(uncertified="serve", worth=1e-9)
_PARAMETERS = {
    "type": "object",
    "properties": {
        "path": {"type": "string", "description": "The file, from the repository's root."},
        "start": {"type": "integer", "minimum": 1},
        "lines": {"type": "integer", "minimum": 1, "maximum": 400},
    },
    "required": ["path"],
}


def router_decision(options: Options) -> dict[str, Any]:
    """`value` is the 95th percentile in milliseconds of a request of 2 kB; the others are those of 200 kB, with and
    without its calls and tools seen before."""
    runs = 20 if options.tiny else _RUNS
    gates = _gates(random.Random(1))
    small, large = _conversation(1, 3), _conversation(128, 12)
    found = {
        "2 kB": _measured(gates, small, runs, seen=True),
        "200 kB, seen": _measured(gates, large, runs, seen=True),
        "200 kB, cold": _measured(gates, large, runs, seen=False),
    }
    return {
        "value": found["2 kB"]["p95"],
        "unit": "ms",
        "cases": found,
        "bytes": {"2 kB": len(small), "200 kB": len(large)},
        "bars": {"2 kB": 0.2, "200 kB, seen": 0.5, "200 kB, cold": 5.0},
    }


def _measured(gates: Gates, body: bytes, runs: int, *, seen: bool) -> dict[str, float]:
    learnt = Learnt(gates)
    decode = msgspec.json.Decoder(ChatRequest).decode
    draft = _draft()
    times = []
    for number in range(runs + 5):
        if not seen:
            learnt = Learnt(gates)
        request = _with_another_end(decode(body), number)
        began = time.perf_counter()
        look = learnt.look(request)
        before(request, _RULES, conversation="c", size=len(body), chance=look.chance)
        after(request, draft, _RULES, look=look)
        times.append((time.perf_counter() - began) * 1e3)
    times = times[5:]
    return {"p50": round(statistics.median(times), 4), "p95": round(statistics.quantiles(times, n=20)[-1], 4)}


def _with_another_end(request: ChatRequest, number: int) -> ChatRequest:
    """The conversation's next turn: its last message is one that nobody saw."""
    *earlier, last = request.messages
    return msgspec.structs.replace(
        request, messages=[*earlier, msgspec.structs.replace(last, content=f"{last.text} {number}")]
    )


def _conversation(turns: int, tools: int) -> bytes:
    chance = random.Random(turns)
    messages: list[dict[str, Any]] = [{"role": "system", "content": "You work on a repository. Use your tools."}]
    messages.append({"role": "user", "content": "Where is `parse_request` defined, and who calls it?"})
    for number in range(turns):
        call = {"name": "read_file", "arguments": f'{{"path": "src/part_{number}.py"}}'}
        messages.append(
            {"role": "assistant", "tool_calls": [{"id": f"call_s{number}", "type": "function", "function": call}]}
        )
        lines = (f"    value_{chance.randrange(10**6)} = parse(text, {chance.randrange(99)})" for _ in range(38))
        messages.append({"role": "tool", "tool_call_id": f"call_s{number}", "content": "\n".join(lines)[:1900]})
    names = ["read_file", *(f"tool_{number}" for number in range(1, tools))]
    specs = [{"name": name, "description": "Reads a part of a file.", "parameters": _PARAMETERS} for name in names]
    offered = [{"type": "function", "function": spec} for spec in specs]
    return msgspec.json.encode({"model": "nightschool", "messages": messages, "tools": offered})


def _draft() -> Choice:
    """A call of forty tokens that names a file which no message shows: all of them are searched."""
    text = [
        '{"name": "',
        "read",
        "_file",
        '", "arguments": {"',
        "path",
        '": "',
        *["src/"] * 28,
        "new.py",
        '", "start": ',
        "1",
        "}}",
    ]
    call = FunctionCall("read_file", msgspec.json.encode({"path": "src/" * 28 + "new.py", "start": 1}).decode())
    logprobs = ChoiceLogprobs([TokenLogprob(token, -0.05) for token in text])
    return Choice(AnswerMessage(tool_calls=[ToolCall("call_1", call)]), "tool_calls", logprobs=logprobs)


def _gates(chance: random.Random) -> Gates:
    def weights(names: tuple[str, ...]) -> Weights:
        numbers = tuple(chance.gauss(0, 1) for _ in names)
        records = {f"pattern:{number}": Record(10.0, 9.0) for number in range(1000)}
        words = {place: chance.gauss(0, 0.1) for place in range(WORDS)}
        return Weights(names, numbers, tuple(1.0 for _ in names), numbers, 0.1, records=records, words=words)

    return Gates(weights(PRE_NAMES), weights(POST_NAMES))


RUNS = {"router-decision": router_decision}
