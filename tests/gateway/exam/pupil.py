"""A pupil for examinations: a real endpoint that answers like the expert, but for chosen questions, which it fails in
known ways, a cause of failure each."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec

from distill.generate.expert import Expert
from distill.generate.question import Question
from gateway.backends.scripted import Act
from gateway.settings import shared
from router.chat import Message, Tool

Fault = Callable[[Question, int, dict[str, Any]], Act]
"""What to answer to a question at its n-th request."""

GARBAGE = '{"path": [[[[' + "\\ud83d" + "]"


def planned(question: Question, turn: int) -> tuple[str, str]:
    call = question.plan[turn]
    return call.name, json.dumps(call.arguments)


def _then(question: Question, turn: int, said: str) -> Act:
    """All planned calls, then these words."""
    return Act(calls=[planned(question, turn)]) if turn < len(question.plan) else Act(text=said)


def _misread(question: Question, turn: int, body: dict[str, Any]) -> Act:
    """The planned call with one letter too many in its last argument."""
    if turn:
        return Act(text="It is on line 123456789 of nowhere.py.")
    call = question.plan[0]
    arguments = json.loads(json.dumps(call.arguments))
    if "path" in arguments:
        arguments["path"] += "x"
    else:
        arguments["args"] = [*arguments["args"][:-1], arguments["args"][-1] + "x"]
    return Act(calls=[(call.name, json.dumps(arguments))])


def _other(question: Question, turn: int, body: dict[str, Any]) -> Act:
    return Act(text="It is on line 123456789 of nowhere.py.") if turn else Act(calls=[("delete_everything", GARBAGE)])


FAULTS: dict[str, Fault] = {
    "endpoint error": lambda question, turn, body: Act(status=400, body=b"<html>teapot</html>"),
    "loop": lambda question, turn, body: Act(calls=[("list_files", '{"path": "."}')]),
    "cut": lambda question, turn, body: (
        Act(text="Well, let me think about this for", finish="length") if turn else Act(calls=[planned(question, 0)])
    ),
    "malformed call": lambda question, turn, body: Act(
        text='<tool_call>\n{"name": "read_file", "arguments": {"path": "a.py"}'
    ),
    "refused": lambda question, turn, body: Act(text="I'm sorry, but I cannot read your files."),
    "no call": lambda question, turn, body: Act(text="Use grep to find it: 123456789 times in nowhere.py."),
    "needless call": lambda question, turn, body: Act(text="Nothing.") if turn else Act(calls=[("list_files", "{}")]),
    "wrong tool": _other,
    "wrong arguments": _misread,
    "unfinished": lambda question, turn, body: (
        Act(text="It is 123456789 in nowhere.py.") if turn else Act(calls=[planned(question, 0)])
    ),
    "said nothing": lambda question, turn, body: _then(question, turn, ""),
    "wrong answer": lambda question, turn, body: _then(
        question, turn, "<script>alert(1)</script> 123456789 in <b>nowhere.py</b>, [red]not[/red]"
    ),
}
BROKEN: dict[str, Fault] = {
    "malformed JSON": lambda question, turn, body: Act(raw=b'{"id": "x", "choices": ['),
    "no JSON at all": lambda question, turn, body: Act(raw=b"\xff\xfe\x00nonsense"),
    "another JSON": lambda question, turn, body: Act(raw=b'{"choices": "none", "id": 7}'),
    "no choices": lambda question, turn, body: Act(raw=b'{"id": "x", "created": 1, "model": "m", "choices": []}'),
    "nested deeply": lambda question, turn, body: Act(
        raw=b'{"id": "x", "created": 1, "model": "m", "choices": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    ),
    "cut short": lambda question, turn, body: Act(text="Hello", cut=20),
}


def fits(cause: str, question: Question) -> bool:
    """Whether a question can be failed like this."""
    if cause == "needless call":
        return not question.plan
    if cause == "unfinished":
        return len(question.plan) > 1
    if cause == "wrong arguments":
        return len(question.plan) == 1 and bool({"path", "args"} & set(question.plan[0].arguments))
    return bool(question.plan)


class Pupil:
    """Answers a request body; `faults` by the question's text. Counts how often each question was begun."""

    def __init__(self, questions: list[Question], faults: dict[str, Fault]) -> None:
        self._questions = {question.text: question for question in questions}
        self.faults = faults
        self._expert = Expert.from_folder(shared("data", "questions"), shared("data", "vocabularies"))
        self.begun: dict[str, int] = {}

    def __call__(self, body: dict[str, Any]) -> Act:
        messages = msgspec.convert(body["messages"], list[Message])
        at = max(place for place, message in enumerate(messages) if message.role == "user")
        turn = sum(message.role == "assistant" for message in messages[at:])
        text = messages[at].text
        if not turn:
            self.begun[text] = self.begun.get(text, 0) + 1
        if text in self.faults:
            return self.faults[text](self._questions[text], turn, body)
        said = self._expert.answer(messages, msgspec.convert(body.get("tools") or [], list[Tool]))
        calls = [(call.function.name, call.function.arguments) for call in said.tool_calls or ()]
        return Act(text=said.content or "", calls=calls)


def failing(questions: list[Question], causes: dict[str, Fault] = FAULTS) -> dict[str, Fault]:
    """A question for each cause, by its text."""
    chosen: dict[str, Fault] = {}
    for cause, fault in causes.items():
        chosen[next(q.text for q in questions if fits(cause, q) and q.text not in chosen)] = fault
    return chosen
