"""The benchmarks' own arithmetic: a bench that cannot see a fault would pass every bar."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench import greedy_parity, load
from tests.bench.adapter_swap import Changes, pauses
from tests.bench.grammar import invalid
from tests.bench.grammar_schemas import SCHEMAS
from tests.bench.load import Outcome
from tests.bench.options import OptionError, read
from tests.bench.reference import Greedy
from tests.bench.soak import Memory
from tests.bench.soak_clients import Told
from tests.bench.wire import Answer, take


def answered(prompt: list[int], said: list[int], cached: int = 0) -> Answer:
    usage = {
        "prompt_tokens": len(prompt),
        "completion_tokens": len(said),
        "prompt_tokens_details": {"cached_tokens": cached},
    }
    return Answer(200, usage=usage, prompt_ids=prompt, token_ids=said)


def called(name: str, arguments: str, finish: str = "tool_calls") -> Answer:
    call = {"id": "call_1", "type": "function", "function": {"name": name, "arguments": arguments}}
    return Answer(200, calls=[call], finish=finish)


def test_the_least_possible_counts_every_prefix_once() -> None:
    warm = answered([1], [9])
    one = answered([1, 2, 3, 4, 10], [5, 6])  # 4 after the warm one
    other = answered([1, 2, 3, 4, 11], [7])  # 1
    later = answered([1, 2, 3, 4, 10, 5, 6, 8], [9])  # 1: the answer was computed while it was generated
    again = answered([1, 2, 3, 4, 11], [7])  # 1: without the last token nothing can be generated
    assert load.least_possible(warm, [one, other, later, again]) == 4 + 1 + 1 + 1


def test_the_computed_tokens_are_those_that_were_not_cached() -> None:
    outcome = Outcome(answered([1], []), answers=[[answered([1, 2, 3], [4], 2)], [answered([1, 2, 5, 6], [7], 0)]])
    assert (outcome.prompt_tokens, outcome.computed, outcome.output_tokens) == (7, 5, 2)


def test_turns_come_in_the_order_in_which_most_is_known() -> None:
    first, second, third, fourth = (answered([n], []) for n in range(4))
    outcome = Outcome(answered([9], []), answers=[[first, second], [third, fourth]])
    assert [answer.prompt_ids for answer in load.by_turn(outcome)] == [[0], [2], [1], [3]]


def test_a_failed_request_is_seen() -> None:
    outcome = Outcome(answered([1], []), answers=[[Answer(500, error="broken")]])
    assert outcome.failed == ["500: broken"]
    with pytest.raises(RuntimeError, match="broken"):
        outcome.whole()


@pytest.mark.parametrize(
    ("mine", "theirs", "at"),
    [([1, 2, 3], [1, 2, 3], None), ([1, 2, 3], [1, 9, 3], 1), ([1, 2], [1, 2, 3], 2), ([1, 2, 3], [1, 2], 2)],
)
def test_parity_sees_where_answers_part(mine: list[int], theirs: list[int], at: int | None) -> None:
    found = greedy_parity.compare([answered([0], mine)], [Greedy(theirs, [0.5] * len(theirs))])
    assert [difference["at"] for difference in found] == ([] if at is None else [at])


@pytest.mark.parametrize(
    ("answer", "wrong"),
    [
        (called("switch", '{"on": true, "why": null}'), ""),
        (called("switch", '{"on": true, "why": 3}'), "not of type"),
        (called("switch", '{"on": true}'), "required"),
        (called("switch", '{"on": true, "why": null'), "not JSON"),
        (called("choose", '{"on": true, "why": null}'), "1 calls"),
        (Answer(200, content="I will not.", finish="stop"), "0 calls"),
        (Answer(500, error="broken"), "broken"),
    ],
)
def test_a_call_that_breaks_its_schema_is_seen(answer: Answer, wrong: str) -> None:
    reason = invalid("switch", answer)
    assert wrong in reason
    assert bool(reason) == bool(wrong)


def test_there_are_twenty_schemas() -> None:
    assert len(SCHEMAS) == 20


def test_pauses_are_told_apart_by_whether_a_change_was_under_way() -> None:
    quiet = [Answer(200, times=[0.0, 0.1, 0.2])]
    busy = [Answer(200, times=[0.0, 0.1, 0.4, 0.9])]
    found = pauses(quiet, busy, Changes(spans=[(0.2, 0.3)]))
    assert (found["without_longest"], found["during_a_change_longest"], found["with_longest"]) == (100, 300, 500)


def test_the_soak_hears_what_may_not_be() -> None:
    told = Told()
    told.hear("text", (200, 503), Answer(503))
    told.hear("text", (200, 503), Answer(200))
    assert not told.failures
    told.hear("text", (200, 503), Answer(500))
    told.hear("text", (200, 503), Answer(200, error="the stream ended without [DONE]"))
    assert len(told.failures) == 2
    assert told.counted == {"text 503": 1, "text 200": 2, "text 500": 1}


def test_memory_is_compared_by_medians_of_windows() -> None:
    memory = Memory([(0.0, 1), (1.0, 10), (2.0, 10), (3.0, 99), (8.0, 20), (9.0, 20)])
    assert memory.around(8, 9) / memory.around(1, 3) == 2


def test_an_answer_is_put_together_from_its_pieces() -> None:
    answer = Answer()
    call = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "read_file", "arguments": ""}}
    for delta in (
        {"role": "assistant", "content": ""},
        {"content": "I "},
        {"content": "look."},
        {"tool_calls": [call]},
        {"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]},
    ):
        take(answer, {"choices": [{"index": 0, "delta": delta, "token_ids": [7]}]}, "delta")
    take(answer, {"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]}, "delta")
    take(answer, {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 5}}, "delta")
    function = {"name": "read_file", "arguments": "{}"}
    assert answer.message == {
        "role": "assistant",
        "content": "I look.",
        "tool_calls": [{"id": "call_1", "type": "function", "function": function}],
    }
    assert (len(answer.times), answer.finish, answer.output_tokens, len(answer.token_ids)) == (4, "tool_calls", 5, 5)


def test_options_come_as_words() -> None:
    options = read(["ONLY=soak,grammar", "SECONDS=60", "--size=tiny", "ROUNDS="], {"SMOLLM2_GGUF": "/there.gguf"})
    assert (options.only, options.seconds, options.tiny, options.rounds) == (("soak", "grammar"), 60.0, True, 0)
    assert options.gguf == Path("/there.gguf")
    for wrong in ("SECONDS=long", "FAST=1", "soak", "SIZE=huge"):
        with pytest.raises(OptionError):
            read([wrong], {})
