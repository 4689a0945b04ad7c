"""What the expert does in each vocabulary passes the night's filters whole, as it does with the exploring agent's own
tools: nothing is masked or dropped, and what can be read again is the same."""

import asyncio
from functools import partial
from pathlib import Path

import pytest

from distill.agent import SYSTEM
from distill.examination.drawn import Examination, Item, set_questions
from distill.filters import Told, explain
from distill.generate.answers import Answers
from distill.snapshots import Snapshots
from distill.trace import Trace
from router.chat import ChatRequest, Message
from router.decision import Decision
from tests.distill.vocabularies.asking import DATA, EXPERT, VOCABULARIES, can_say

# The least share of calls whose results are read again where there is no sandbox. A shell's line with quotes is run
# again only in one, and so is sed; counts, lists of files and lines without numbers no snapshot speaks for or against.
LEAST = {"explore": 0.9, "cline": 0.85, "copilot": 0.8, "opencode": 0.8}
OTHERS = 0.6


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("filters")


@pytest.fixture(scope="module")
def items(folder: Path) -> list[Item]:
    examination = Examination("vocabularies", 1, ["pluggy", "iniconfig"], 48, 3, result_limit=700)
    return asyncio.run(set_questions(examination, DATA / "questions", folder / "repositories"))


async def conversation(item: Item, vocabulary: str) -> list[Trace]:
    toolbox = item.toolbox.offering(VOCABULARIES[vocabulary])
    messages = [Message("system", SYSTEM), Message("user", item.question.text)]
    traces: list[Trace] = []
    while not traces or messages[-1].role == "tool":
        where = {"repository": toolbox.root.name, "commit": toolbox.version}
        request = ChatRequest("m", [*messages], tools=toolbox.specs, metadata=where)
        answer = EXPERT.answer(messages, toolbox.specs)
        taught, number = Decision("teacher", "policy"), len(traces)
        traces.append(Trace(f"t{number}", float(number), item.question.id, request, "completed", taught, answer=answer))
        messages.append(Message("assistant", answer.content, answer.tool_calls))
        for call in answer.tool_calls or ():
            result = await toolbox.call(call.function.name, call.function.arguments)
            messages.append(Message("tool", result, tool_call_id=call.id))
    return traces


@pytest.mark.parametrize("name", VOCABULARIES)
async def test_runs_in_every_vocabulary_are_learnt_whole(name: str, items: list[Item], folder: Path) -> None:
    answers = Answers.from_folder(DATA / "questions")
    snapshots = Snapshots(folder / name, [], folder, folder / "repositories")
    found = []
    for item in items:
        if can_say(VOCABULARIES[name], item.question.plan):
            told = Told(snapshot=snapshots.of, oracle=partial(answers.right, item.toolbox.root))
            (one,) = explain(await conversation(item, name), told).trajectories
            found.append((item.question.text, one))
    assert len(found) >= 0.75 * len(items)
    assert [(text, f) for text, one in found for f in one.findings if f.effect in ("masked", "dropped")] == []
    assert all(len(one.learnt) == (one.messages - 1) // 2 for _, one in found)
    rerun = [f for _, one in found for f in one.findings if f.check == "rerun"]
    assert sum(f.effect == "passed" for f in rerun) >= LEAST.get(name, OTHERS) * len(rerun)
