"""What the expert does in each vocabulary passes the night's filters whole, as it does with the exploring agent's own
tools: nothing is masked or dropped, and what can be read again is the same."""

import asyncio
import re
from functools import partial
from pathlib import Path

import msgspec
import pytest

from distill.agent import SYSTEM
from distill.examination.drawn import DrawnExamination, set_drawn
from distill.examination.items import Item
from distill.filters import Explained, Told, explain
from distill.filters.reasons import Finding
from distill.generate.answers import Answers
from distill.snapshots import Snapshots
from distill.trace import Trace
from distill.vocabularies.choosing import can_ask
from router.chat import ChatRequest, Message
from router.decision import Decision
from tests.distill.vocabularies.asking import DATA, EXPERT, VOCABULARIES

pytestmark = pytest.mark.school

# The least share of calls whose results are read again where there is no sandbox. A shell's line with quotes is run
# again only in one, and so is sed; counts, lists of files and lines without numbers no snapshot speaks for or against.
LEAST = {"explore": 0.85, "cline": 0.75, "copilot": 0.75, "opencode": 0.75}
OTHERS = 0.5


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("filters")


@pytest.fixture(scope="module")
def items(folder: Path) -> list[Item]:
    examination = DrawnExamination("vocabularies", 1, ["pluggy", "iniconfig"], 40, 3, result_limit=700)
    return asyncio.run(set_drawn(examination, DATA / "questions", folder / "repositories"))


@pytest.fixture(scope="module")
def edges(folder: Path) -> list[Item]:
    kinds = ["missing_file", "empty_file", "beyond_end", "absent_class", "absent_file", "first_line"]
    examination = DrawnExamination("edges", 1, ["click"], 16, 3, kinds=kinds, result_limit=700)
    return asyncio.run(set_drawn(examination, DATA / "questions", folder / "repositories"))


async def conversation(item: Item, vocabulary: str) -> list[Trace]:
    toolbox = item.toolbox.offering(VOCABULARIES[vocabulary], item.question.withheld)
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


async def explained(items: list[Item], vocabulary: str, folder: Path) -> list[tuple[str, Explained]]:
    """What the filters say of each question that the vocabulary can say."""
    answers = Answers.from_folder(DATA / "questions", DATA / "vocabularies")
    snapshots = Snapshots(folder / vocabulary, [], folder, folder / "repositories")
    found = []
    for item in items:
        if can_ask(VOCABULARIES[vocabulary], item.question):
            offered = item.toolbox.offering(VOCABULARIES[vocabulary], item.question.withheld).specs
            told = Told(snapshot=snapshots.of, oracle=partial(answers.right, item.toolbox.root, tools=offered))
            (one,) = explain(await conversation(item, vocabulary), told).trajectories
            found.append((item.question.text, one))
    return found


def left_out(found: list[tuple[str, Explained]]) -> list[tuple[str, Finding]]:
    return [(text, f) for text, one in found for f in one.findings if f.effect in ("masked", "dropped")]


@pytest.mark.parametrize("name", VOCABULARIES)
async def test_runs_in_every_vocabulary_are_learnt_whole(name: str, items: list[Item], folder: Path) -> None:
    found = await explained(items, name, folder)
    assert len(found) >= 0.75 * len(items)
    assert left_out(found) == []
    assert all(len(one.learnt) == (one.messages - 1) // 2 for _, one in found)
    rerun = [f for _, one in found for f in one.findings if f.check == "rerun"]
    assert sum(f.effect == "passed" for f in rerun) >= LEAST.get(name, OTHERS) * len(rerun)


@pytest.mark.parametrize("name", VOCABULARIES)
async def test_a_failure_that_is_the_answer_is_learnt(name: str, edges: list[Item], folder: Path) -> None:
    """Of what is not there a tool says so by an error: bad elsewhere, and here what was asked for."""
    found = await explained(edges, name, folder)
    assert found
    assert left_out(found) == []


async def test_a_result_that_the_files_do_not_give_is_found_in_every_form(folder: Path) -> None:
    """The check reads what vocabularies print, and does not just pass over it."""
    told = Told(snapshot=Snapshots(folder / "stale", [], folder, folder / "repositories").of)
    examination = DrawnExamination("stale", 1, ["pluggy"], 1, 3, kinds=["class_defined"])
    (item,) = await set_drawn(examination, DATA / "questions", folder / "repositories")
    for name in ("claude", "cline", "copilot", "gemini", "opencode"):
        *_, last = await conversation(item, name)
        messages = [*last.request.messages]
        shown = messages[-1].text
        number = re.findall(r"\d+(?=[:| ]+class )", shown)[0]
        messages[-1] = msgspec.structs.replace(messages[-1], content=shown.replace(number, str(int(number) + 1)))
        spoilt = msgspec.structs.replace(last, request=msgspec.structs.replace(last.request, messages=messages))
        (one,) = explain([spoilt], told).trajectories
        assert "stale_result" in {f.reason for f in one.findings}, (name, messages[-1].text)
