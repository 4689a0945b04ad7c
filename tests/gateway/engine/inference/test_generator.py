"""The generation side on tiny random models: batches, prefixes, adapters, memory, cancellation, death."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import mlx.core as mx
import pytest
from mlx_lm.generate import generate_step
from structlog.testing import capture_logs

from distill.errors import AdapterError, ModelError
from distill.mlx.load import load
from gateway.engine.errors import EngineBusy, EngineDown
from gateway.engine.inference.adapters import Adapter
from gateway.engine.inference.coordinator import Limits
from gateway.engine.inference.generator import Generator
from gateway.engine.inference.job import Job, Sampling, Started, Token
from gateway.engine.served import ServedModel

PROMPT = [(i * 37) % 256 for i in range(120)]
GREEDY = Sampling(temperature=0)
END = 257


async def run(generator: Generator, job: Job) -> tuple[list[int], int]:
    """Token ids and how many prompt tokens came from the cache."""
    ids, cached = [], 0
    async for event in generator.run(job):
        if isinstance(event, Started):
            cached = event.cached
        else:
            ids.append(event.id)
    return ids, cached


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - what another thread does sets no event here
            await asyncio.sleep(0.005)


def mlx_lm_greedy(folder: Path, prompt: list[int], count: int) -> list[int]:
    steps = generate_step(
        mx.array(prompt), load(folder).model, max_tokens=count, sampler=lambda x: mx.argmax(x, axis=-1)
    )
    ids = []
    for token, _ in steps:
        ids.append(int(token))
        if token == END:
            break
    return ids


@pytest.fixture(params=["host", "guessing host", "device"])
async def either(request: pytest.FixtureRequest, tiny: Path) -> AsyncIterator[ServedModel]:
    """The tiny model on the host, with guesses and without, and as on a device: a window takes that way too."""
    more = {"host": {"speculate": False}, "guessing host": {}, "device": {"max_kv_size": 1024}}[request.param]
    served = ServedModel("tiny", tiny, limits=Limits(batch=8, prefill_step=64, **more))
    await served.open()
    yield served
    await served.close()


async def test_a_batch_writes_what_mlx_lm_writes_alone(either: ServedModel, tiny: Path) -> None:
    prompts = [[*PROMPT[: 20 + 9 * i], i] for i in range(6)]
    together = await asyncio.gather(*(run(either.generator, Job(p, 12, GREEDY)) for p in prompts))
    assert [ids for ids, _ in together] == [mlx_lm_greedy(tiny, p, 12) for p in prompts]


async def test_a_prompt_of_one_token_is_answered(served: ServedModel, tiny: Path) -> None:
    assert (await run(served.generator, Job([9], 5, GREEDY)))[0] == mlx_lm_greedy(tiny, [9], 5)


async def test_a_shared_beginning_is_computed_once(served: ServedModel) -> None:
    prompts = [[*PROMPT, i, i + 1, i + 2] for i in range(6)]
    jobs = [Job(prompt, 4, GREEDY, shared=len(PROMPT), conversation=str(prompt[-3])) for prompt in prompts]
    results = await asyncio.gather(*(run(served.generator, job) for job in jobs))
    assert sorted(cached for _, cached in results)[1:] == [len(PROMPT)] * 5
    assert served.generator.stats().prompt_tokens_computed == len(PROMPT) + 6 * 3
    assert served.generator.stats().prompt_tokens_cached == len(PROMPT) * 5


async def test_the_next_turn_pays_for_what_is_new_and_says_the_same(served: ServedModel, tiny: Path) -> None:
    said, _ = await run(served.generator, Job(PROMPT, 6, GREEDY))
    longer = [*PROMPT, *said, 5, 6, 7]
    again, cached = await run(served.generator, Job(longer, 6, GREEDY))
    assert cached >= len(PROMPT) + len(said) - 1  # the last token's keys were never needed
    assert again == mlx_lm_greedy(tiny, longer, 6)


async def test_a_seed_gives_the_same_choices_alone_and_in_a_batch(served: ServedModel) -> None:
    def drawn(seed: int) -> Job:
        return Job(PROMPT, 10, Sampling(temperature=1.0, top_p=0.9, seed=seed))

    alone, _ = await run(served.generator, drawn(42))
    jobs = [drawn(1), drawn(42), drawn(3), Job(PROMPT, 10, GREEDY)]
    results = await asyncio.gather(*(run(served.generator, job) for job in jobs))
    assert results[1][0] == alone
    assert len({tuple(ids) for ids, _ in results}) == 4


@pytest.mark.parametrize(
    "sampling",
    [
        GREEDY,
        Sampling(temperature=0.3, seed=5),
        Sampling(temperature=0.0, frequency_penalty=0.3),
        Sampling(temperature=0.4, seed=7, repetition_penalty=1.1, logit_bias={60: 3.0}),
    ],
)
async def test_guesses_change_nothing_that_is_said(tiny: Path, sampling: Sampling) -> None:
    prompts = [[*PROMPT, *[7, 8, 9, i] * 6] for i in range(3)]  # something to be looked up
    said = []
    for speculate in (True, False):
        served = ServedModel("tiny", tiny, limits=Limits(speculate=speculate))
        await served.open()
        results = await asyncio.gather(*(run(served.generator, Job(p, 120, sampling)) for p in prompts))
        said.append([ids for ids, _ in results])
        stats = served.generator.stats()
        await served.close()
        assert (stats.guessed > 0) == speculate
    assert said[0] == said[1]


async def test_log_probabilities_are_those_of_the_chosen_tokens(served: ServedModel, tiny: Path) -> None:
    events = [event async for event in served.generator.run(Job(PROMPT, 3, GREEDY, top_logprobs=2))]
    tokens = [event for event in events if isinstance(event, Token)]
    model = load(tiny).model
    ids = [*PROMPT, *(token.id for token in tokens)]
    logits = model(mx.array([ids]))[0]
    for i, token in enumerate(tokens):
        row = logits[len(PROMPT) - 1 + i]
        assert token.logprob == pytest.approx(float(row[token.id] - mx.logsumexp(row)), abs=1e-3)
        assert token.top[0] == (token.id, pytest.approx(token.logprob))
        assert len(token.top) == 2


async def test_who_leaves_stops_costing(either: ServedModel) -> None:
    stream = either.generator.run(Job(PROMPT, 300, GREEDY))
    async for event in stream:
        if isinstance(event, Token):
            break
    await stream.aclose()
    other, _ = await run(either.generator, Job(PROMPT[:9], 2, GREEDY))
    assert len(other) <= 2
    assert either.generator.running == 0


async def test_who_leaves_while_the_prompt_is_computed_is_forgotten(either: ServedModel) -> None:
    running = [asyncio.create_task(run(either.generator, Job([*PROMPT * 3, i], 50, GREEDY))) for i in range(12)]
    await asyncio.sleep(0.01)
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    began = time.monotonic()
    await until(lambda: either.generator.running == 0)
    assert time.monotonic() - began < 1
    assert (await run(either.generator, Job(PROMPT[:9], 2, GREEDY)))[0]


async def test_a_full_queue_is_said_with_a_time_to_come_back(tiny: Path) -> None:
    served = ServedModel("tiny", tiny, limits=Limits(batch=2, queue=1))
    await served.open()
    running = [asyncio.create_task(run(served.generator, Job([*PROMPT, i], 200, GREEDY))) for i in range(3)]
    await until(lambda: served.generator.running == 3)
    with pytest.raises(EngineBusy) as refused:
        served.generator.check_room()
    assert refused.value.retry_after is not None
    assert refused.value.retry_after >= 1
    await asyncio.gather(*running)
    served.generator.check_room()
    await served.close()


async def test_when_memory_runs_short_requests_take_turns_and_all_say_what_they_would(tiny: Path) -> None:
    prompts = [[*PROMPT, i] for i in range(4)]
    alone = [mlx_lm_greedy(tiny, prompt, 300) for prompt in prompts]
    served = ServedModel("tiny", tiny, limits=Limits(batch=4, cache_bytes=0))
    await served.open()
    room = served.generator._runner.token_bytes * 1000  # enough for four prompts, not for four answers
    served.generator._coordinator.budget = served.generator.stats().used_bytes + room
    with capture_logs() as logs:
        results = await asyncio.gather(*(run(served.generator, Job(p, 300, GREEDY)) for p in prompts))
    assert [ids for ids, _ in results] == alone
    assert any(entry["event"] == "request waits for memory" for entry in logs)
    await served.close()


async def test_an_idle_model_leaves_memory_and_comes_back(tiny: Path, make_adapter: Callable[..., Path]) -> None:
    served = ServedModel("tiny", tiny, limits=Limits(idle_unload_seconds=0.2))
    await served.open()
    adapter = await served.load_adapter("one", make_adapter("one", 1))
    before = [(await run(served.generator, Job(PROMPT, 5, GREEDY, worn)))[0] for worn in (None, adapter)]
    resident = served.generator.stats().used_bytes
    weights = (tiny / "model.safetensors").stat().st_size
    await until(lambda: resident - served.generator.stats().used_bytes > 0.9 * weights)
    after = [(await run(served.generator, Job(PROMPT, 5, GREEDY, worn)))[0] for worn in (None, adapter)]
    assert after == before
    await served.close()


async def test_an_adapter_can_be_loaded_while_the_model_is_not_in_memory(
    tiny: Path, make_adapter: Callable[..., Path]
) -> None:
    served = ServedModel("tiny", tiny, limits=Limits(idle_unload_seconds=0.1))
    await served.open()
    base, _ = await run(served.generator, Job(PROMPT, 5, GREEDY))
    with capture_logs() as logs:
        await until(lambda: any(entry["event"] == "model leaves memory" for entry in logs))
    adapter = await served.load_adapter("late", make_adapter("late", 1))
    late, _ = await run(served.generator, Job(PROMPT, 5, GREEDY, adapter))
    assert late != base
    await served.close()


async def test_a_window_forgets_the_middle_and_keeps_the_beginning(tiny: Path) -> None:
    served = ServedModel("tiny", tiny, limits=Limits(max_kv_size=64, prefill_step=32))
    await served.open()
    short = PROMPT[:30]
    assert (await run(served.generator, Job(short, 20, GREEDY, shared=10)))[0] == mlx_lm_greedy(tiny, short, 20)
    said, cached = await run(served.generator, Job(PROMPT * 3, 40, GREEDY, shared=10))
    assert said
    assert cached == 0
    assert served.generator.stats().cache_bytes == 0
    await served.close()


async def test_a_prompt_that_breaks_fails_alone(served: ServedModel, make_adapter: Callable[..., Path]) -> None:
    whole = await served.load_adapter("whole", make_adapter("whole", 1))
    torn = Adapter("torn", whole.folder, "torn", {name: (b, a, s) for name, (a, b, s) in whole.deltas.items()})
    with capture_logs() as logs:
        results = await asyncio.gather(
            run(served.generator, Job(PROMPT, 4, GREEDY, torn)),
            run(served.generator, Job(PROMPT[:5], 40, GREEDY)),
            return_exceptions=True,
        )
    assert isinstance(results[0], EngineDown)
    assert not isinstance(results[1], BaseException)
    assert logs[0]["event"] == "a prompt could not be computed"
    assert served.generator.alive


async def test_a_dead_thread_fails_its_jobs_and_says_so(served: ServedModel) -> None:
    class Broken:
        def mask(self) -> None:
            raise RuntimeError("out of order")

        def accept(self, token: int) -> None: ...

        def copy(self) -> Broken:
            return self

        def allows(self, tokens: list[int]) -> int:
            return len(tokens)

        def forced(self) -> list[int]:
            return []

    with capture_logs() as logs:
        results = await asyncio.gather(
            run(served.generator, Job(PROMPT, 4, GREEDY, constraint=Broken())),
            run(served.generator, Job(PROMPT[:5], 400, GREEDY)),
            return_exceptions=True,
        )
    assert all(isinstance(result, EngineDown) for result in results)
    assert not served.generator.alive
    assert logs[0]["event"] == "generation thread died"
    with pytest.raises(EngineDown):
        await run(served.generator, Job(PROMPT, 4, GREEDY))


async def test_a_missing_model_is_told_to_who_waits(tmp_path: Path) -> None:
    generator = Generator(lambda: load(tmp_path / "none"), set())
    with pytest.raises(ModelError, match="there is no model"):
        await generator.open()


async def test_each_adapter_speaks_for_itself_beside_others(
    either: ServedModel, make_adapter: Callable[..., Path]
) -> None:
    base, _ = await run(either.generator, Job(PROMPT, 8, GREEDY))
    one = await either.load_adapter("one", make_adapter("one", 1))
    two = await either.load_adapter("two", make_adapter("two", 2, rank=2, layers=1))
    alone = [(await run(either.generator, Job(PROMPT, 8, GREEDY, adapter)))[0] for adapter in (None, one, two)]
    assert alone[0] == base
    assert len({tuple(ids) for ids in alone}) == 3
    order = [None, one, two, one, None, two, two, None]
    mixed = await asyncio.gather(*(run(either.generator, Job(PROMPT, 8, GREEDY, adapter)) for adapter in order))
    assert [ids for ids, _ in mixed] == [alone[[None, one, two].index(adapter)] for adapter in order]


async def test_different_adapters_share_their_steps(served: ServedModel, make_adapter: Callable[..., Path]) -> None:
    adapters = [None, *[await served.load_adapter(str(i), make_adapter(str(i), i)) for i in range(3)]]
    before = served.generator.stats().steps
    results = await asyncio.gather(*(run(served.generator, Job(PROMPT, 30, GREEDY, adapter)) for adapter in adapters))
    steps = served.generator.stats().steps - before
    assert steps < 0.7 * sum(len(ids) for ids, _ in results)


async def test_an_adapter_that_replaces_another_finds_no_stale_prefix(
    served: ServedModel, make_adapter: Callable[..., Path]
) -> None:
    first = await served.load_adapter("a", make_adapter("a", 1))
    before, _ = await run(served.generator, Job(PROMPT, 8, GREEDY, first))
    second = await served.load_adapter("a", make_adapter("a", 2), replace=True)
    after, cached = await run(served.generator, Job(PROMPT, 8, GREEDY, second))
    assert cached == 0
    assert before != after


async def test_a_swap_disturbs_no_request(either: ServedModel, make_adapter: Callable[..., Path]) -> None:
    first = await either.load_adapter("a", make_adapter("a", 1))
    alone = [(await run(either.generator, Job(PROMPT, 100, GREEDY, worn)))[0] for worn in (None, first)]
    running = [asyncio.create_task(run(either.generator, Job(PROMPT, 100, GREEDY, worn))) for worn in (None, first)]
    await asyncio.sleep(0.02)
    await either.load_adapter("a", make_adapter("a", 3), replace=True)
    await either.unload_adapter("a")
    assert [ids for ids, _ in await asyncio.gather(*running)] == alone


@pytest.mark.parametrize("fault", ["truncated", "other base", "no config", "not there", "not a number"])
async def test_a_bad_adapter_is_refused_with_the_reason(
    served: ServedModel, make_adapter: Callable[..., Path], tmp_path: Path, fault: str
) -> None:
    folder = (
        tmp_path / "none" if fault == "not there" else make_adapter("bad", 1, width=32 if fault == "other base" else 64)
    )
    weights = folder / "adapters.safetensors"
    if fault == "truncated":
        weights.write_bytes(weights.read_bytes()[:500])
    if fault == "not a number":
        tensors = mx.load(str(weights))
        mx.save_safetensors(str(weights), {name: tensor * float("nan") for name, tensor in tensors.items()})
    if fault == "no config":
        (folder / "adapter_config.json").unlink()
    base, _ = await run(served.generator, Job(PROMPT, 4, GREEDY))
    with pytest.raises(AdapterError, match=r"damaged|shape|holds no|NaN"):
        await served.load_adapter("bad", folder)
    assert "bad" not in served.adapters
    assert (await run(served.generator, Job(PROMPT, 4, GREEDY)))[0] == base


async def test_dora_is_refused_with_the_remedy(served: ServedModel, make_adapter: Callable[..., Path]) -> None:
    with pytest.raises(AdapterError, match=r"DoRA.*adapters export --to fused"):
        await served.load_adapter("dora", make_adapter("dora", 1, kind="dora"))
    assert "dora" not in served.adapters
