"""Whether the engine's greedy answers are mlx-lm's own, token for token.

Many prompts at once, some the beginnings of others, with prompts computed in small steps: batching, prefix cache and
chunked prefill are all at work. The other side is mlx-lm alone, one prompt after another, same weights, float32.
"""

from __future__ import annotations

import asyncio
import random
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from distill.render import Renderer
from distill.tools import SPECS
from router.chat import Message
from tests.bench import load, reference, servers, weights, wire
from tests.bench.load import Shape
from tests.bench.options import Options
from tests.bench.reference import Greedy
from tests.bench.servers import Server
from tests.bench.wire import Answer

_STEP = 64  # prompt tokens at a time
_FULL, _TINY = Shape(conversations=8, turns=4, output=32), Shape(conversations=2, turns=2, output=12)
_LENGTHS = (2, 65, 129, 5, 9, 14, 20, 33, 48, 63, 64, 90, 127, 128, 200, 320, 511, 700)
_SAID = "I will read the lines around the match first, and then answer."


def greedy_parity(options: Options) -> dict[str, Any]:
    """`value` is how many prompts got the same tokens; `differences` has the others, with how close the choice was."""
    folder = weights.student()
    renderer = Renderer(folder)
    shape = _TINY if options.tiny else _FULL
    asked = prompts(renderer, shape, _LENGTHS[:3] if options.tiny else _LENGTHS)
    with tempfile.TemporaryDirectory() as work:
        home = Path(work)
        with servers.engine(folder, home, threads=options.threads, prefill_step=_STEP) as server:
            answers = asyncio.run(_ask_all(server, asked, shape.output))
        full = weights.float32(folder, home / "float32")
        ids = [rendered(renderer, body) for body in asked]
        own = reference.greedy(full, ids, shape.output, renderer.eos_ids)
    differences = compare(answers, own)
    return {
        "value": len(asked) - len(differences),
        "unit": f"of {len(asked)} prompts answered with mlx-lm's own tokens",
        "prompts": len(asked),
        "differences": differences,
        "prompts_rendered_alike": sum(a.prompt_ids == prompt for a, prompt in zip(answers, ids, strict=True)),
        "prompt_tokens": sum(answer.prompt_tokens for answer in answers),
        "cached_tokens": sum(answer.cached_tokens for answer in answers),
        "output_tokens": sum(len(one.tokens) for one in own),
    }


def prompts(renderer: Renderer, shape: Shape, lengths: Sequence[int]) -> list[dict[str, Any]]:
    """Conversations of one to so many turns, each the beginning of the next, and texts of very different lengths.

    Shuffled, so that the longer sometimes come before the shorter.
    """
    made = []
    for number in range(shape.conversations):
        messages = load.conversation(number)
        for turn in range(shape.turns):
            made.append({"messages": list(messages), "tools": load.TOOLS})
            messages += [{"role": "assistant", "content": _SAID}, load.tool_result(renderer, number, turn)]
    for number, tokens in enumerate(lengths):
        made.append({"messages": [{"role": "user", "content": load.excerpt(renderer, 100 + 40 * number, tokens)}]})
    random.Random(11).shuffle(made)
    return made


def rendered(renderer: Renderer, body: dict[str, Any]) -> list[int]:
    """The prompt of a request as token ids."""
    return renderer.prompt(msgspec.convert(body["messages"], list[Message]), SPECS if "tools" in body else None)


def compare(answers: list[Answer], own: list[Greedy]) -> list[dict[str, Any]]:
    """Where answers part: prompt, position, both tokens, and the distance of mlx-lm's two best logits there."""
    differences = []
    for index, (answer, expected) in enumerate(zip(answers, own, strict=True)):
        mine, theirs = answer.token_ids, expected.tokens
        at = load.common(mine, theirs)
        if at < max(len(mine), len(theirs)):
            gap = round(expected.gaps[at], 6) if at < len(theirs) else None
            differences.append({"prompt": index, "at": at, "ours": mine[at : at + 1], "gap": gap})
    return differences


async def _ask_all(server: Server, asked: list[dict[str, Any]], output: int) -> list[Answer]:
    """All at the same time."""
    more = {"model": server.model, "max_tokens": output, "temperature": 0, "return_token_ids": True}
    async with wire.session() as http:
        bodies = [{**body, **more, "stream": bool(n % 2)} for n, body in enumerate(asked)]
        return list(await asyncio.gather(*[wire.must(http, server.url, body) for body in bodies]))


RUNS = {"greedy-parity": greedy_parity}
