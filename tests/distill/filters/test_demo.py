"""The demo's conversations, the expert's answers with the exploring agent's tools, pass whole."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from distill.agent import SYSTEM
from distill.examination.drawn import Examination, Item, set_questions
from distill.filters import Explained, Told, explain
from distill.generate.answers import Answers
from distill.generate.expert import Expert
from distill.snapshots import Snapshots
from distill.trace import Trace
from router.chat import ChatRequest, Message
from router.decision import Decision

QUESTIONS = Path(__file__).resolve().parents[3] / "data" / "questions"


async def _conversation(expert: Expert, item: Item) -> list[Trace]:
    messages = [Message("system", SYSTEM), Message("user", item.question.text)]
    traces: list[Trace] = []
    while not traces or messages[-1].role == "tool":
        tools, where = item.toolbox.specs, {"repository": item.toolbox.root.name, "commit": item.toolbox.version}
        request = ChatRequest("m", [*messages], tools=tools, metadata=where)
        answer = expert.answer(messages, tools)
        taught, number = Decision("teacher", "policy"), len(traces)
        traces.append(Trace(f"t{number}", float(number), item.question.id, request, "completed", taught, answer=answer))
        messages.append(Message("assistant", answer.content, answer.tool_calls))
        for call in answer.tool_calls or ():
            result = await item.toolbox.call(call.function.name, call.function.arguments)
            messages.append(Message("tool", result, tool_call_id=call.id))
    return traces


async def _explained(items: list[Item], folder: Path) -> list[tuple[str, Explained]]:
    expert = Expert.from_folder(QUESTIONS)
    answers = Answers.from_folder(QUESTIONS)
    snapshots = Snapshots(folder / "snapshots", [], folder, folder / "repositories")
    found = []
    for item in items:
        offered = {tool.function.name for tool in item.toolbox.specs}
        told = Told(snapshot=snapshots.of, oracle=partial(answers.right, item.toolbox.root, offered=offered))
        (one,) = explain(await _conversation(expert, item), told).trajectories
        found.append((item.question.text, one))
    return found


async def test_every_answer_is_learnt_and_no_result_is_stale(tmp_path: Path) -> None:
    examination = Examination("demo", 1, ["pluggy", "iniconfig"], 80, 3, result_limit=700)
    items = await set_questions(examination, QUESTIONS, tmp_path / "repositories")
    found = await _explained(items, tmp_path)
    assert len(found) > 60
    left_out = [(text, f) for text, one in found for f in one.findings if f.effect in ("masked", "dropped")]
    assert [(text, f) for text, f in left_out if f.reason != "repaired"] == []  # a first call that is meant to fail
    assert all(len(one.learnt) == (one.messages - 1) // 2 for text, one in found if text not in dict(left_out))
    rerun = [f for _, one in found for f in one.findings if f.check == "rerun"]
    assert sum(f.effect == "passed" for f in rerun) > 0.9 * len(rerun)
