"""The generation thread on a tiny random model: batches, prefixes, adapters, cancellation, death."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import mlx.core as mx
import pytest
from mlx_lm.generate import generate_step
from structlog.testing import capture_logs

from distill.errors import AdapterError, ModelError
from distill.mlx.load import load
from gateway.engine.errors import EngineDown
from gateway.engine.generator import Generator, Job, Started, Token
from gateway.engine.prefix import PrefixTree
from gateway.engine.sampling import greedy, sampler
from gateway.engine.served import ServedModel

PROMPT = [(i * 37) % 256 for i in range(120)]


async def run(generator: Generator, job: Job) -> tuple[list[int], int]:
    """Token ids and how many prompt tokens came from the cache."""
    ids, cached = [], 0
    async for event in generator.run(job):
        if isinstance(event, Started):
            cached = event.cached
        else:
            ids.append(event.id)
    return ids, cached


def mlx_lm_greedy(folder: Path, prompt: list[int], count: int) -> list[int]:
    steps = generate_step(mx.array(prompt), load(folder).model, max_tokens=count, sampler=greedy)
    ids = []
    for token, _ in steps:
        ids.append(int(token))
        if token == 257:
            break
    return ids


async def test_a_batch_writes_what_mlx_lm_writes_alone(served: ServedModel, tiny: Path) -> None:
    prompts = [[*PROMPT[: 20 + 9 * i], i] for i in range(6)]
    together = await asyncio.gather(*(run(served.generator, Job(p, 12, greedy)) for p in prompts))
    assert [ids for ids, _ in together] == [mlx_lm_greedy(tiny, p, 12) for p in prompts]


async def test_a_shared_beginning_is_computed_once(served: ServedModel) -> None:
    prompts = [[*PROMPT, i, i + 1, i + 2] for i in range(6)]
    results = await asyncio.gather(*(run(served.generator, Job(p, 4, greedy)) for p in prompts))
    assert sorted(cached for _, cached in results)[1:] == [len(PROMPT)] * 5
    assert served.generator.prompt_tokens_computed <= len(PROMPT) + 6 * 3


async def test_the_next_turn_pays_for_what_is_new_and_says_the_same(served: ServedModel, tiny: Path) -> None:
    said, _ = await run(served.generator, Job(PROMPT, 6, greedy))
    longer = [*PROMPT, *said, 5, 6, 7]
    again, cached = await run(served.generator, Job(longer, 6, greedy))
    assert cached == len(PROMPT) + len(said)
    assert again == mlx_lm_greedy(tiny, longer, 6)


async def test_a_seed_gives_the_same_choices_alone_and_in_a_batch(served: ServedModel) -> None:
    alone, _ = await run(served.generator, Job(PROMPT, 10, sampler(1.0, 0.9, 42)))
    jobs = [Job(PROMPT, 10, sampler(1.0, 0.9, seed)) for seed in (1, 42, 3)] + [Job(PROMPT, 10, greedy)]
    results = await asyncio.gather(*(run(served.generator, job) for job in jobs))
    assert results[1][0] == alone
    assert len({tuple(ids) for ids, _ in results}) == 4


def test_samples_follow_the_distribution() -> None:
    logits = mx.log(mx.array([[0.5, 0.3, 0.15, 0.05]]))
    choose = sampler(1.0, 1.0, 5)
    drawn = [int(choose(logits).item()) for _ in range(2000)]
    assert [drawn.count(i) / 2000 for i in range(4)] == pytest.approx([0.5, 0.3, 0.15, 0.05], abs=0.04)
    narrow = sampler(1.0, 0.7, 5)
    assert {int(narrow(logits).item()) for _ in range(200)} == {0, 1}


async def test_log_probabilities_are_those_of_the_chosen_tokens(served: ServedModel, tiny: Path) -> None:
    events = [event async for event in served.generator.run(Job(PROMPT, 3, greedy))]
    tokens = [event for event in events if isinstance(event, Token)]
    model = load(tiny).model
    ids = [*PROMPT, *(token.id for token in tokens)]
    logits = model(mx.array([ids]))[0]
    for i, token in enumerate(tokens):
        row = logits[len(PROMPT) - 1 + i]
        assert token.logprob == pytest.approx(float(row[token.id] - mx.logsumexp(row)), abs=1e-3)


async def test_who_leaves_stops_costing(served: ServedModel) -> None:
    stream = served.generator.run(Job(PROMPT, 300, greedy))
    async for event in stream:
        if isinstance(event, Token):
            break
    await stream.aclose()
    other, _ = await run(served.generator, Job(PROMPT[:9], 2, greedy))
    assert len(other) <= 2
    assert served.generator.running == 0


async def test_a_dead_thread_fails_its_jobs_and_says_so(served: ServedModel) -> None:
    def broken(_: mx.array) -> mx.array:
        raise RuntimeError("out of order")

    with capture_logs() as logs:
        results = await asyncio.gather(
            run(served.generator, Job(PROMPT, 4, broken)),
            run(served.generator, Job(PROMPT[:5], 400, greedy)),
            return_exceptions=True,
        )
    assert all(isinstance(result, EngineDown) for result in results)
    assert not served.generator.alive
    assert logs[0]["event"] == "generation thread died"
    with pytest.raises(EngineDown):
        await run(served.generator, Job(PROMPT, 4, greedy))


async def test_a_missing_model_is_told_to_who_waits(tmp_path: Path) -> None:
    generator = Generator(lambda: load(tmp_path / "none"), set())
    with pytest.raises(ModelError, match="there is no model"):
        await generator.open()


async def test_each_adapter_speaks_for_itself(
    served: ServedModel, tiny: Path, make_adapter: Callable[..., Path]
) -> None:
    base, _ = await run(served.generator, Job(PROMPT, 8, greedy))
    one = await served.load_adapter("one", make_adapter("one", 1))
    two = await served.load_adapter("two", make_adapter("two", 2, rank=2, layers=1))
    alone = [(await run(served.generator, Job(PROMPT, 8, greedy, adapter)))[0] for adapter in (None, one, two)]
    assert alone[0] == base
    assert len({tuple(ids) for ids in alone}) == 3
    order = [None, one, two, one, None, two, two, None]
    mixed = await asyncio.gather(*(run(served.generator, Job(PROMPT, 8, greedy, adapter)) for adapter in order))
    assert [ids for ids, _ in mixed] == [alone[[None, one, two].index(adapter)] for adapter in order]


async def test_an_adapter_that_replaces_another_finds_no_stale_prefix(
    served: ServedModel, make_adapter: Callable[..., Path]
) -> None:
    first = await served.load_adapter("a", make_adapter("a", 1))
    before, _ = await run(served.generator, Job(PROMPT, 8, greedy, first))
    second = await served.load_adapter("a", make_adapter("a", 2), replace=True)
    after, cached = await run(served.generator, Job(PROMPT, 8, greedy, second))
    assert cached == 0
    assert before != after


async def test_a_load_disturbs_no_request(served: ServedModel, make_adapter: Callable[..., Path]) -> None:
    alone, _ = await run(served.generator, Job(PROMPT, 100, greedy))
    running = asyncio.create_task(run(served.generator, Job(PROMPT, 100, greedy)))
    await asyncio.sleep(0.02)
    await served.load_adapter("late", make_adapter("late", 3))
    assert (await running)[0] == alone


@pytest.mark.parametrize("fault", ["truncated", "other base", "no config", "not there"])
async def test_a_bad_adapter_is_refused_with_the_reason(
    served: ServedModel, make_adapter: Callable[..., Path], tmp_path: Path, fault: str
) -> None:
    folder = (
        tmp_path / "none" if fault == "not there" else make_adapter("bad", 1, width=32 if fault == "other base" else 64)
    )
    if fault == "truncated":
        weights = folder / "adapters.safetensors"
        weights.write_bytes(weights.read_bytes()[:500])
    if fault == "no config":
        (folder / "adapter_config.json").unlink()
    base, _ = await run(served.generator, Job(PROMPT, 4, greedy))
    with pytest.raises(AdapterError, match=r"damaged|shape|holds no"):
        await served.load_adapter("bad", folder)
    assert "bad" not in served.adapters
    assert (await run(served.generator, Job(PROMPT, 4, greedy)))[0] == base


def test_the_tree_keeps_within_its_bytes() -> None:
    def cache(tokens: list[int]) -> list[object]:
        from mlx_lm.models.cache import KVCache

        layer = KVCache()
        values = mx.array(tokens, dtype=mx.float32)[None, None, :, None] * mx.ones((1, 1, 1, 8))
        layer.update_and_fetch(values, values)
        return [layer]

    tree = PrefixTree(limit=64 * 40)
    for start in (0, 100, 200):
        tokens = [1, 2, 3, *range(start, start + 17)]
        tree.keep(None, tokens, cache(tokens))
    assert tree.nbytes <= 64 * 40
    assert tree.match(None, [1, 2, 3, *range(200, 217)]) == 20
    [layer], length = tree.fetch(None, [1, 2, 3, 200, 201, 99])
    assert length == 5
    assert layer.keys[0, 0, :, 0].tolist() == [1, 2, 3, 200, 201]
    assert tree.match("other", [1, 2, 3]) == 0
    tree.forget(None)
    assert tree.nbytes == 0
