"""Requests that nobody would write, in great number: half as the gateway's own page describes them or nearly so, the
others damaged as bytes. Half meet an upstream that is well, half one that fails in every way.

No request hangs, none is answered with an error of the gateway's own (500), an upstream's fault is told as one (502,
503, 504), every answer has the form that the page gives it, and the process lives on in bounded memory. FUZZ= is how
many there are in all; few are always the same, many are new each time.
"""

from __future__ import annotations

import http.client
import os
import random
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import msgspec
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from gateway.api.openapi import page
from gateway.backends.scripted import Act
from tests.bench.machine import resident
from tests.faults.table import FAULTS
from tests.faults.wires import WIRES
from tests.gateway.running import Running, Script

_FEW = 400
_COUNT = int(os.environ.get("FUZZ") or _FEW)
_LONGEST = 15.0  # seconds for an answer: attempts, limits and all
_GROWTH = 200 * 2**20  # bytes; kept responses alone may take 64 MB
_WELL = [
    Act(text="An answer."),
    Act(text="An answer in pieces.", pieces=5),
    Act(calls=[("read_file", '{"path": "a.py"}'), ("list_files", "{}")]),
    Act(text="Cut off", finish="length"),
    Act(thoughts="Hm.", text="An answer."),
]
_COMPACT = "/v1/responses/compact"  # an answer that is cut off, or calls, is no summary: the model's fault
_NAMES = ["nightschool", "student", "teacher", "small", "gpt-4", "claude-sonnet", "no-such-model"]

pytestmark = pytest.mark.timeout(3600)


@dataclass(frozen=True)
class Target:
    """A gateway, and which 5xx may come from it."""

    gateway: Running
    admin_key: str
    excused: frozenset[int]
    seen: Counter[int] = field(default_factory=Counter)

    def judge(self, path: str, status: int) -> None:
        self.seen[status] += 1
        excused = self.excused | {502} if path == _COMPACT else self.excused
        assert status < 500 or status in excused, f"{status} at {path}"


@pytest.fixture(scope="module", params=["well", "failing"])
def target(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    home, failing = tmp_path_factory.mktemp("home"), request.param == "failing"
    limits = {f"{arm}__{name}": 0.3 for arm in ("student", "teacher") for name in ("first_byte", "silence")}
    limits |= {"student__failures": 0, "teacher__failures": 0}
    with (
        Script(*_acts(failing, 1), model="small") as student,
        Script(*_acts(failing, 2), model="large") as teacher,
        Running(home, student.url, teacher.url, teacher__attempts=2, teacher__name="large", **limits) as gateway,
    ):
        gateway.wait(lambda health: health["teacher"]["ready"])
        gateway.chat()
        before = resident(gateway.process.pid)
        key = (home / "data" / "admin.key").read_text()
        target = Target(gateway, key, frozenset({502, 503, 504} if failing else ()))
        yield target
        assert {200, 400, 404} <= target.seen.keys()  # the requests came that far
        for script in (student, teacher):
            script.play(Act(text="well again"))
        status, _, answer = gateway.chat()
        assert (status, answer["choices"][0]["message"]["content"]) == (200, "well again")
        assert resident(gateway.process.pid) - before < _GROWTH
        assert "[error" not in gateway.log.read_text()


def _acts(failing: bool, seed: int) -> list[Act]:
    """More than there are requests, so that they never become one and the same."""
    draw = random.Random(seed)
    bad = [act for name, fault in FAULTS.items() for act in (fault.whole, fault.stream) if act and "10 MB" not in name]
    return [draw.choice(bad if failing and draw.random() < 0.4 else _WELL) for _ in range(4 * _COUNT)]


def few_or_many(share: float) -> settings:
    return settings(
        max_examples=max(1, round(_COUNT * share / 2)),  # for each of the two gateways
        derandomize=_COUNT <= _FEW,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


def _named(case: Case, name: str) -> Case:
    """Mostly with a model that there is, so that more than its name is looked at."""
    if isinstance(case.body, dict) and "model" in case.body:
        case.body = {**case.body, "model": name}
    return case


def _cases() -> st.SearchStrategy[Case]:
    described = schemathesis.openapi.from_dict(msgspec.json.decode(page()))
    operations = [found.ok() for found in described.get_all_operations()]
    modes = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
    cases = st.one_of(*[one.as_strategy(generation_mode=mode) for one in operations for mode in modes])
    return st.builds(_named, cases, st.sampled_from(_NAMES))


@few_or_many(0.5)
@given(case=_cases())
def test_what_the_page_describes_or_nearly(target: Target, case: Case) -> None:
    headers = {"authorization": f"Bearer {target.admin_key}"} if case.path.startswith("/admin") else {}
    try:
        response = case.call(base_url=target.gateway.url, headers=headers, timeout=_LONGEST)
    except (requests.exceptions.InvalidHeader, UnicodeError):
        return  # nothing that could be sent
    target.judge(case.path, response.status_code)
    case.validate_response(
        response,
        checks=[status_code_conformance, content_type_conformance, response_schema_conformance],
    )


@st.composite
def _damaged(draw: st.DrawFn) -> bytes:
    """A good request's body with some of its bytes gone, others put in, or cut short."""
    wire = draw(st.sampled_from(list(WIRES.values())))
    body = wire.body(draw(st.sampled_from(_NAMES)), draw(st.text()), draw(st.booleans()))
    written = bytearray(msgspec.json.encode(body))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(written)))
        put = draw(st.binary(max_size=8) | st.sampled_from([b"[" * 2000, b"1e999", b"-0", b"\\ud800", b"null", b'":{']))
        written[at : at + draw(st.integers(0, 8))] = put
    return bytes(written[: draw(st.none() | st.integers(0, len(written)))])


_ROUTES = list(msgspec.json.decode(page())["paths"])
_PATHS = st.sampled_from([wire.path for wire in WIRES.values()]) | st.sampled_from(_ROUTES)
_VISIBLE = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=40)
_HEADERS = st.dictionaries(
    st.sampled_from(["x-nightschool-conversation", "x-nightschool-no-trace", "x-api-key", "authorization", "accept"]),
    _VISIBLE,
)
_TYPES = st.sampled_from(["application/json"] * 8 + ["application/json; charset=utf-8", "text/plain", ""])


@few_or_many(0.5)
@given(
    method=st.sampled_from(["POST"] * 8 + ["GET", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"]),
    path=_PATHS,
    more=st.just("") | st.text().map(lambda text: "?" + quote(text, safe="=&")),
    headers=_HEADERS,
    kind=_TYPES,
    body=_damaged(),
)
def test_damaged_bytes(
    target: Target, method: str, path: str, more: str, headers: dict[str, str], kind: str, body: bytes
) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", target.gateway.port, timeout=_LONGEST)
    start = time.monotonic()
    try:
        connection.request(method, path + more, body, {**headers, "content-type": kind})
        reply = connection.getresponse()
        answer = reply.read()
    finally:
        connection.close()
    assert time.monotonic() - start < _LONGEST
    target.judge(path, reply.status)
    if reply.status >= 400 and method != "HEAD":
        assert reply.status != 405 or reply.headers["allow"]
        error: Any = msgspec.json.decode(answer)["error"]
        assert error["message"]
        assert error["type"]
