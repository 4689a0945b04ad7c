"""How long redaction takes: for ordinary text, for a conversation that was seen before, and for text made to hurt."""

from __future__ import annotations

import random
import sysconfig
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from distill.redact import Redactor
from distill.trace import Trace
from router.chat import ChatRequest, Message
from router.decision import Decision
from tests.distill.redact.planted import KINDS, drawn

KEY = bytes(range(32))
MEGABYTE = 1_000_000


def mixed(seed: int, size: int) -> list[str]:
    """Messages of 200 to 20 000 characters: a third code, a third logs, a third talk; one in ten has a secret."""
    rng = random.Random(seed)
    folder = Path(sysconfig.get_path("stdlib"))
    code = "".join((folder / name).read_text(encoding="utf-8") for name in ("argparse.py", "tarfile.py", "ast.py"))
    talk = "".join((folder / name).read_text(encoding="utf-8") for name in ("LICENSE.txt", "pydoc_data/topics.py"))
    messages, total = [], 0
    while total < size:
        length = rng.choice([200, 1000, 4000, 20_000])
        kind = rng.randrange(3)
        source = (code, talk)[kind % 2]
        at = rng.randrange(len(source) - length)
        text = logs(rng, length) if kind == 2 else source[at : at + length]
        if rng.random() < 0.1:
            text += "\n" + KINDS[rng.choice(sorted(KINDS))](rng)[0]
        messages.append(text)
        total += len(text)
    return messages


def logs(rng: random.Random, length: int) -> str:
    line = "2026-03-{:02} 12:{}:01,{} INFO worker-3 GET /v1/items/{} 200 {:.2f}ms request_id={} from 10.0.3.{}"
    draws = ((1, 28), (10, 59), (100, 999), (1, 10**6))
    made = (
        line.format(*(rng.randint(*one) for one in draws), rng.random() * 100, drawn(rng, 16), rng.randint(1, 254))
        for _ in range(length // 100)
    )
    return "\n".join(made)


def seconds(run: Callable[[], object]) -> float:
    """CPU seconds, which other processes on the machine do not lengthen."""
    start = time.process_time()
    run()
    return time.process_time() - start


def test_four_megabytes_a_second() -> None:
    messages = mixed(1, 2 * MEGABYTE)
    size = sum(map(len, messages))
    fastest = min(seconds(lambda: [*map(Redactor(KEY).text, messages)]) for _ in range(3))
    assert size / fastest >= 4 * MEGABYTE, f"{size / fastest / MEGABYTE:.1f} MB/s"


def test_a_conversation_that_goes_on_costs_what_is_new() -> None:
    messages = [Message("user", text) for text in mixed(2, MEGABYTE)]
    new = Message("user", mixed(3, 1000)[0])

    def trace(messages: list[Message]) -> Trace:
        return Trace("t", 1.0, "c", ChatRequest("m", messages), "completed", Decision("teacher", "policy"))

    redactor = Redactor(KEY)
    first = seconds(lambda: redactor.trace(trace(messages)))
    again = seconds(lambda: redactor.trace(trace([*messages, new])))
    assert again < first / 5, f"{first:.3f} s, then {again:.3f} s"


@pytest.mark.parametrize(
    "text",
    [
        "password=",
        "token=token",
        "password=a1",
        'pwd="',
        "secret='\\",
        "-----BEGIN PRIVATE KEY-----\n",
        "-----BEGIN PRIVATE KEY-----\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n",
        "eyJ",
        "eyJaaaaaaaaaa.",
        "://a:",
        "://",
        "a@",
        "a.b@c.d",
        "@a.com",
        "authorization:",
        "bearer ",
        "basic aaaaaaaa",
        "1-",
        "+1 ",
        "4 ",
        "4111 1111 1111 ",
        "(212) ",
        "1.",
        "2001:",
        "DE00 ",
        "DE00AAAA",
        "/home/a",
        "C:\\Users\\",
        "\\" * 8 + "Users\\",
        "ssn ",
        "phone ",
        "key key_",
        '{"a":',
        '["\\"',
        "AKIA" + "A1" * 8,
        "sk-",
        "xoxb-1",
        "\x00",
        "\ud800",
    ],
)
def test_text_made_to_hurt_takes_linear_time(text: str) -> None:
    """A limit that quadratic time would miss by far."""
    long = " " + text * (200_000 // len(text))
    assert seconds(lambda: Redactor(KEY).text(long)) < 10
