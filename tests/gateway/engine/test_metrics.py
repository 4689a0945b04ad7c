"""What an engine tells of itself: metrics, health, one log line a request, token counts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from structlog.testing import capture_logs

from gateway.engine.app import create_app
from gateway.engine.served import ServedModel
from gateway.engine.traffic import Traffic

SECRET = "the otter is in the bath"
ASK: dict[str, Any] = {"model": "tiny", "messages": [{"role": "user", "content": SECRET}], "max_tokens": 6, "seed": 3}


@pytest.fixture
async def app(served: ServedModel) -> Traffic:
    return create_app(served)


@pytest.fixture
async def http(app: Traffic) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=app)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://engine", timeout=30) as client:
        yield client


async def ask(http: httpx.AsyncClient, **more: Any) -> httpx.Response:
    return await http.post("/v1/chat/completions", json={**ASK, **more})


async def until_running(http: httpx.AsyncClient) -> None:
    async with asyncio.timeout(10):
        running = 0
        while not running:
            await asyncio.sleep(0.001)
            running = (await http.get("/health")).json()["running"]


async def figures(http: httpx.AsyncClient) -> dict[str, float]:
    """Every sample by its name, labels in braces; buckets left out."""
    page = await http.get("/metrics")
    assert page.headers["content-type"].startswith("text/plain")
    found = {}
    for family in text_string_to_metric_families(page.text):
        for sample in family.samples:
            labels = "".join(f"{{{value}}}" for value in sample.labels.values())
            found[sample.name.removeprefix("nightschool_engine_") + labels] = sample.value
    return found


async def test_every_figure_moves_as_it_should(http: httpx.AsyncClient) -> None:
    before = await figures(http)
    assert before["generation_alive"] == 1
    assert before["memory_budget_bytes"] > before["memory_bytes"] > 0
    first = (await ask(http)).json()
    second = (await ask(http, stream=True, stream_options={"include_usage": True})).text
    assert second.endswith("data: [DONE]\n\n")
    after = await figures(http)
    grown = {name: after[name] - before.get(name, 0) for name in after}
    ended = sum(value for name, value in grown.items() if name.startswith("requests_total"))
    assert ended == 2
    assert grown["time_to_first_token_seconds_count"] == 2
    said = first["usage"]["completion_tokens"]
    assert grown["generated_tokens_total"] == 2 * said  # the same seed says the same
    assert grown["inter_token_seconds_count"] == 2 * (said - 1)
    assert grown["prefix_cache_hits_total"] >= 1
    assert grown["prompt_tokens_cached_total"] > 0
    assert grown["prompt_tokens_computed_total"] + grown["prompt_tokens_cached_total"] == pytest.approx(
        2 * first["usage"]["prompt_tokens"], abs=2
    )
    assert after["prefix_cache_bytes"] > 0
    for idle in ("queue_length", "running", "filling", "batch_size", "stalled_seconds", "adapters_loaded"):
        assert after[idle] == 0


async def test_refusals_are_counted_by_reason(http: httpx.AsyncClient) -> None:
    assert (await ask(http, model="none")).status_code == 404
    assert (await ask(http, messages=[{"role": "user", "content": "x" * 2000}])).status_code == 400
    assert (await http.get("/nowhere")).status_code == 404
    found = await figures(http)
    assert found["refusals_total{model_not_found}"] == 1
    assert found["refusals_total{context_length_exceeded}"] == 1
    assert found["refusals_total{not_found}"] == 1
    assert found["requests_total{refused}"] == 2


async def test_two_engines_count_apart(served: ServedModel, http: httpx.AsyncClient) -> None:
    await ask(http)
    other = create_app(served)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=other), base_url="http://engine") as fresh:  # type: ignore[arg-type]
        assert not [name for name in await figures(fresh) if name.startswith("requests_total")]


async def test_a_finished_request_is_one_line_without_its_content(http: httpx.AsyncClient) -> None:
    for more, streamed in (({}, False), ({"stream": True}, True)):
        with capture_logs() as logs:
            answer = await ask(http, **more)
        [line] = [entry for entry in logs if entry["event"] == "request"]
        assert line["model"] == "tiny"
        assert line["stream"] is streamed
        assert line["id"] in answer.text
        assert line["outcome"] in ("stop", "length")
        assert line["prompt_tokens"] > line["cached_tokens"] >= 0
        assert 1 <= line["generated_tokens"] <= 6
        assert 0 <= line["rendering"] + line["to_first_token"] + line["generating"] <= line["seconds"]
        assert "otter" not in repr(logs)


async def test_a_refused_request_is_one_line_too(http: httpx.AsyncClient) -> None:
    with capture_logs() as logs:
        await ask(http, temperature="hot")
    [line] = [entry for entry in logs if entry["event"] == "request"]
    assert (line["outcome"], line["reason"]) == ("refused", "invalid_request_error")


async def test_parameters_that_are_ignored_are_named(http: httpx.AsyncClient) -> None:
    assert (await ask(http, verbosity="low")).headers["x-nightschool-ignored-params"] == "verbosity"
    streamed = await ask(http, verbosity="low", stream=True)
    assert streamed.headers["x-nightschool-ignored-params"] == "verbosity"
    assert "x-nightschool-ignored-params" not in (await ask(http)).headers


async def test_health_tells_queue_and_budget(http: httpx.AsyncClient) -> None:
    state = (await http.get("/health")).json()
    assert state["status"] == "ok"
    assert (state["running"], state["queued"], state["stalled_seconds"]) == (0, 0, 0)
    assert state["budget_bytes"] > state["memory_bytes"] > 0


async def test_health_notices_that_no_step_is_made(served: ServedModel) -> None:
    """Any pause is too long for this engine, so every look at it while it works finds it stalled."""
    transport = httpx.ASGITransport(app=create_app(served, stalled=0.0))  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://engine", timeout=30) as http:
        assert (await http.get("/health")).status_code == 200
        answering = asyncio.create_task(ask(http, max_tokens=100, logit_bias={"257": -100}))
        seen = set()
        while not answering.done():
            health = await http.get("/health")
            seen.add((health.status_code, health.json()["status"]))
            await asyncio.sleep(0.001)
        assert (503, "stalled") in seen
        await answering
        assert (await http.get("/health")).status_code == 200


async def test_health_notices_a_dead_generation_thread(served: ServedModel, http: httpx.AsyncClient) -> None:
    await served.generator.close()
    health = await http.get("/health")
    assert (health.status_code, health.json()["status"]) == (503, "dead")
    refused = await ask(http)
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "engine_down")
    assert int(refused.headers["retry-after"]) >= 1
    assert (await figures(http))["generation_alive"] == 0


async def test_tokens_are_those_that_a_request_would_be_charged_for(http: httpx.AsyncClient) -> None:
    said = {"messages": ASK["messages"]}
    counted = (await http.post("/tokenize", json={**said, "model": "tiny"})).json()
    assert counted["count"] == len(counted["tokens"])
    assert counted["count"] == (await ask(http)).json()["usage"]["prompt_tokens"]
    assert counted["max_model_len"] == 512
    plain = (await http.post("/tokenize", json={"prompt": "abc"})).json()
    assert plain["count"] == 3
    assert (await http.post("/tokenize", json={"prompt": "<|end|>"})).json()["count"] == 7  # text is never control


@pytest.mark.parametrize(
    ("body", "status"),
    [({}, 400), ({"prompt": "a", "messages": []}, 400), ({"prompt": 3}, 400), ({"prompt": "a", "model": "no"}, 404)],
)
async def test_what_cannot_be_tokenized_is_told(http: httpx.AsyncClient, body: dict[str, Any], status: int) -> None:
    reply = await http.post("/tokenize", json=body)
    assert reply.status_code == status
    assert reply.json()["error"]["message"]


async def test_an_engine_that_closes_lets_the_running_end_and_no_one_in(app: Traffic, http: httpx.AsyncClient) -> None:
    running = asyncio.create_task(ask(http, max_tokens=60, logit_bias={"257": -100}))
    await until_running(http)
    closing = asyncio.create_task(app.close(20))
    await asyncio.sleep(0.001)
    refused = await ask(http)
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "engine_down")
    assert refused.headers["retry-after"] == "20"
    await closing
    answer = await running
    assert (answer.status_code, answer.json()["usage"]["completion_tokens"]) == (200, 60)


async def test_closing_does_not_wait_for_ever(app: Traffic, http: httpx.AsyncClient) -> None:
    running = asyncio.create_task(ask(http, max_tokens=400, logit_bias={"257": -100}))
    await until_running(http)
    await asyncio.wait_for(app.close(0.01), 5)
    assert not running.done()
    running.cancel()
