"""The expert reads a conversation and nothing else."""

import json
from pathlib import Path

import pytest

from distill.generate.expert import NO_QUESTION, UNABLE, UNKNOWN, Expert
from distill.tools import ERROR, NOTHING, SPECS
from router.chat import AnswerMessage, Message

pytestmark = pytest.mark.school

EXPERT = Expert.from_folder(Path(__file__).parents[3] / "data" / "questions")


def turn(question: str, *results: str, tools: bool = True) -> AnswerMessage:
    messages = [Message("system", "Be brief."), Message("user", question)]
    for result in results:
        messages += [Message("assistant", None), Message("tool", result, tool_call_id="x")]
    return EXPERT.answer(messages, SPECS if tools else None)


def called(answer: AnswerMessage) -> tuple[str, dict[str, object]]:
    assert answer.tool_calls is not None
    (call,) = answer.tool_calls
    return call.function.name, json.loads(call.function.arguments)


def test_a_question_becomes_a_call_and_its_result_an_answer() -> None:
    question = "Which classes subclass Base?"
    assert called(turn(question)) == ("run_command", {"command": "grep", "args": ["-rnw", "class .*(.*Base", "."]})
    found = "a/b.py:1:class Child(Base):\nc.py:4:class Other(Base, metaclass=M):"
    assert turn(question, found).content == "Subclasses of Base: Child (a/b.py), Other (c.py)."


def test_arguments_come_out_of_earlier_results() -> None:
    question = "Read the docstring of class Child."
    name, arguments = called(turn(question, "a/b.py:12:class Child:"))
    assert (name, arguments) == ("read_file", {"path": "a/b.py", "start": 12, "lines": 3})
    shown = '12: class Child:\n13:     """What a child is."""\n14: '
    assert turn(question, "a/b.py:12:class Child:", shown).content == "The docstring says: What a child is."


@pytest.mark.parametrize(
    ("question", "result", "answer"),
    [
        ("Which classes subclass Base?", NOTHING, "No class subclasses Base."),
        ("Where is the class Base defined?", NOTHING, "There is no class Base."),
        ("Where is the class Base defined?", "[9 more characters not shown]", "There is no class Base."),
        ("How many lines does a.py have?", ERROR + "no such file: a.py", "There is no file a.py."),
        ("How does a.bin begin?", ERROR + "a.bin is a binary file", "a.bin is a binary file."),
        (
            "How does ../a begin?",
            ERROR + "../a is outside the repository",
            "../a is outside the repository, and I cannot read it.",
        ),
        ("How does a begin?", ERROR + "took longer than 10 s", "The tool failed: took longer than 10 s"),
        ("How does a begin?", NOTHING, "a is empty."),
        ("How many lines does a.py have?", "12 a.py", "a.py has 12 lines."),
        (
            "What are the parameters of walk?",
            "a.py:3:    def walk(self, n: int) -> None:",
            "walk takes (self, n: int).",
        ),
        ("What is line 9 of a.py?", "9:     return 1", "Line 9 is: return 1"),
    ],
)
def test_answers_come_from_results_alone(question: str, result: str, answer: str) -> None:
    assert turn(question, result).content == answer


def test_too_many_results_are_named_in_part() -> None:
    found = "\n".join(f"m{number}.py:1:class C{number}(Base):" for number in range(9))
    answer = turn("Which classes subclass Base?", found + "\n[99 more characters not shown]").content
    assert answer == "More than 5 classes subclass Base, for example C0 (m0.py), C1 (m1.py), C2 (m2.py)."


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("What is 17 plus 25?", "42"),
        ("What is 10 minus 12?", "-2"),
        ("What is the capital of France?", "Paris."),
        ("What does HTTP stand for?", "Hypertext Transfer Protocol."),
    ],
)
def test_general_questions_need_no_tool(question: str, answer: str) -> None:
    assert turn(question).content == answer
    assert turn(question, tools=False).content == answer


def test_what_it_does_not_know_it_says() -> None:
    assert turn("Please refactor everything.").content == UNKNOWN
    assert turn("").content == UNKNOWN
    assert EXPERT.answer([], None).content == NO_QUESTION
    assert turn("What is the capital of Atlantis?").content == "I am a stand-in and have not learnt that."


def test_without_the_tool_it_does_not_call_it() -> None:
    answer = turn("Which classes subclass Base?", tools=False)
    assert answer.tool_calls is None
    assert answer.content == UNABLE


def test_only_what_follows_the_last_question_counts() -> None:
    messages = [
        *(Message("user", "Which classes subclass Base?"), Message("tool", "a.py:1:class A(Base):")),
        *(Message("assistant", "Subclasses of Base: A (a.py)."), Message("user", "Which classes subclass Other?")),
    ]
    assert called(EXPERT.answer(messages, SPECS))[1]["args"] == ["-rnw", "class .*(.*Other", "."]


def test_the_same_conversation_gets_the_same_answer() -> None:
    assert turn("Which classes subclass Base?") == turn("Which classes subclass Base?")
