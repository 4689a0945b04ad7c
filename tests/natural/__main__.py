"""`python -m tests.natural OUT=folder ...`: a day of two agents with their own tools, and what the night keeps of it.

Reads top to bottom: a teacher, a gateway, the day, the night, the sheets. tests/natural/options.py says what there is.
With STORE=folder of an earlier day only the filters are run.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from distill.labelling import Limits
from distill.render import Renderer
from tests.bench.machine import machine, versions
from tests.bench.servers import llama_server
from tests.clients.agent import has_program
from tests.gateway.running import Running, new_key
from tests.natural import sheets
from tests.natural.editing import edit
from tests.natural.errands import errands
from tests.natural.exploring import explore
from tests.natural.night import REPOSITORIES, asked_again, judged
from tests.natural.options import EDITOR, EXPLORER, OptionError, Options, read
from tests.natural.questions import questions
from tests.natural.repositories import Repository, copied
from tests.natural.tokens import compared

_TEMPLATE = Path(__file__).with_name("teacher.jinja")


def main(words: list[str]) -> int:
    try:
        options = read(words)
    except OptionError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    if EDITOR in options.agents and not (options.store or has_program(EDITOR)):
        sys.stderr.write("there is no aider: `make clients` fetches it, or leave it out with AGENTS=openai-agents\n")
        return 1
    options.out.mkdir(parents=True, exist_ok=True)
    known = {} if options.store else _recorded(options)
    found = asyncio.run(judged(options.store or options.out))
    if options.teacher_model:
        known["tokens"] = compared(found, Renderer(Path(options.teacher_model)))
    sys.stdout.write(sheets.write(options.out, found, known) + "\n")
    return 0


def _recorded(options: Options) -> dict[str, Any]:
    """A day and the labels of its night, in the folder `out`; what is known of both."""
    repositories = copied(options.out / REPOSITORIES, options.packages)
    home = options.out / "home"
    home.mkdir()
    keys = {agent: new_key(home, agent) for agent in options.agents}
    began = time.monotonic()
    with _gateway(options, home) as gateway:
        ends = asyncio.run(_day(options, gateway, keys, repositories))
        ended = time.monotonic()
        limits = Limits(options.samples, options.asks, at_once=2)
        labelled = asyncio.run(asked_again(options.out, gateway.url, limits))
    return {
        "ends": ends,
        "seconds": {"day": ended - began, "labels": time.monotonic() - ended},
        "labelled": labelled,
        "versions": versions(),
        "machine": machine(),
    }


@contextmanager
def _gateway(options: Options, home: Path) -> Iterator[Running]:
    """A gateway whose teacher answers everything."""
    with ExitStack() as stack:
        url = options.teacher_url
        if options.llama_server is not None and options.teacher_gguf is not None:
            server = llama_server(options.llama_server, options.teacher_gguf, _TEMPLATE)
            url = f"{stack.enter_context(server).url}/v1"
        patient = {f"teacher.{name}": 600 for name in ("first_byte", "silence", "start")}
        settings = {"teacher.model": options.teacher_model, "router.policy": "teacher", "teacher.attempts": 1}
        gateway = stack.enter_context(Running(home, "", url, **settings, **patient))
        gateway.wait(lambda health: True)
        yield gateway


async def _day(
    options: Options, gateway: Running, keys: dict[str, str], repositories: list[Repository]
) -> dict[str, Counter[str]]:
    """Both agents at once; how the conversations of each ended."""
    seconds = options.minutes * 60
    work = {}
    if EXPLORER in keys:
        asked = questions(repositories, random.Random(options.seed))
        work[EXPLORER] = explore(gateway.url, keys[EXPLORER], asked, options.count, seconds, at_once=2)
    if EDITOR in keys:
        gateway.key = keys[EDITOR]
        wanted = errands(repositories, random.Random(options.seed))
        chats = options.out / "chats"
        work[EDITOR] = asyncio.to_thread(edit, gateway, wanted, options.count, seconds, chats)
    return dict(zip(work, await asyncio.gather(*work.values()), strict=True))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
