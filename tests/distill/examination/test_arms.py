"""Arms as a person writes them, the prompts that ship, and answers on disk that survive a kill."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from distill.agent import Conversation
from distill.errors import ExaminationError
from distill.examination.answers import Answered, Sheet, answered, digest_of, folder_of, read_answers
from distill.examination.arms import PROMPTED, Arm, complete, parse_arm, student_of
from distill.examination.items import Item
from distill.examination.marking import mark
from distill.generate.question import Oracle, Question
from distill.prompts import Prompt, read_prompt
from distill.tools import Toolbox
from distill.vocabularies import load_vocabularies
from router.chat import Message

CHECKOUT = Path(__file__).resolve().parents[3]
PROMPT = Prompt("p", "Plan, then act.")


@pytest.mark.parametrize(
    ("text", "arm"),
    [
        ("base=qwen@http://127.0.0.1:1/v1/", Arm("base", "base", "qwen", "http://127.0.0.1:1/v1")),
        ("big=org/model@main@https://h/v1", Arm("big", "other", "org/model@main", "https://h/v1")),
        ("teacher=gpt", Arm("teacher", "teacher", "gpt")),
        ("adapter=a=b@http://u:p@h:1/v1", Arm("adapter", "adapter", "a=b", "http://u:p@h:1/v1")),
        ("prompt-only=m", Arm("prompt-only", "prompt", "m")),
    ],
)
def test_an_arm_as_it_is_written(text: str, arm: Arm) -> None:
    assert parse_arm(text) == arm


def test_a_password_in_an_address_is_not_shown() -> None:
    assert parse_arm("a=m@http://u:secret@h:1/v1").place == "http://h:1/v1"
    assert parse_arm("a=m").place == "the gateway"


@pytest.mark.parametrize(
    "text",
    ["", "base", "=m", "a=", "a= @http://h", "../x=m", ".x=m", "a/b=m", "x" * 41 + "=m", "a=m@http://", "a=m@http://["],
)
def test_what_is_no_arm_is_said(text: str) -> None:
    with pytest.raises(ExaminationError):
        parse_arm(text)


def test_prompt_only_stands_beside_every_base() -> None:
    arms, notes = complete([parse_arm("base=m@http://h/v1"), parse_arm("t=m", "teacher")], PROMPT)
    assert [(arm.label, arm.role) for arm in arms] == [("base", "base"), (PROMPTED, "prompt"), ("t", "teacher")]
    assert arms[1] == Arm(PROMPTED, "prompt", "m", "http://h/v1", PROMPT)
    assert notes == []


def test_without_a_student_it_is_said() -> None:
    arms, notes = complete([parse_arm("teacher=m")], PROMPT)
    assert len(arms) == 1
    assert "base and prompt-only are not in it" in notes[0]


def test_labels_are_told_apart_also_by_a_disk_that_ignores_case() -> None:
    with pytest.raises(ExaminationError, match="two arms are called"):
        complete([parse_arm("A=m"), parse_arm("a=n")], PROMPT)


def test_the_adapter_is_decided_upon_else_the_base() -> None:
    named = [parse_arm(f"{label}=m") for label in ("teacher", "base", "adapter", "x")]
    assert [student_of(arms) for arms in (named, [named[0], named[1], named[3]], named[:1], named[3:])] == [
        named[2],
        named[1],
        None,
        named[3],
    ]


def test_every_prompt_that_ships_can_be_read_and_has_examples_with_and_without_calls() -> None:
    paths = sorted((CHECKOUT / "data" / "prompts").glob("*.toml"))
    assert "plan-then-act" in {path.stem for path in paths}
    for path in paths:
        prompt = read_prompt(path)
        assert prompt.name == path.stem
        assert {bool(example.calls) for example in prompt.examples} == {True, False}


@pytest.mark.parametrize("name", ["explore", *load_vocabularies(CHECKOUT / "data" / "vocabularies")])
def test_examples_speak_the_vocabulary_that_is_offered(name: str, tmp_path: Path) -> None:
    prompt = read_prompt(CHECKOUT / "data" / "prompts" / "plan-then-act.toml")
    vocabulary = load_vocabularies(CHECKOUT / "data" / "vocabularies")[name]
    toolbox = Toolbox(tmp_path).offering(vocabulary)
    offered = {spec.function.name for spec in toolbox.specs}
    messages = prompt.messages(vocabulary, toolbox.specs)
    called = {call.function.name for message in messages for call in message.tool_calls or ()}
    assert called
    assert called <= offered
    assert messages[-1].role == "assistant"


def test_an_example_without_its_tool_is_left_out(tmp_path: Path) -> None:
    prompt = read_prompt(CHECKOUT / "data" / "prompts" / "plan-then-act.toml")
    toolbox = Toolbox(tmp_path)
    explore = load_vocabularies(CHECKOUT / "data" / "vocabularies")["explore"]
    fewer = prompt.messages(explore, toolbox.offering(explore, ["run_command"]).specs)
    assert 0 < len(fewer) < len(prompt.messages(explore, toolbox.specs))
    assert not [call for m in fewer for call in m.tool_calls or () if call.function.name == "run_command"]


@pytest.mark.parametrize("content", ["", "name = 3", 'name = "x"\nsystem = "y"\nmore = 1', "\xff", "[["])
def test_a_damaged_prompt_is_said(tmp_path: Path, content: str) -> None:
    path = tmp_path / "broken.toml"
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(ExaminationError, match=r"broken\.toml"):
        read_prompt(path)


def item(folder: Path, name: str = "q1") -> Item:
    question = Question(name, "repo", "search", "t", f"How many {name}?", [], Oracle("number", ("7",)))
    return Item(question, Toolbox(folder, version="1"))


def line(one: Item, answer: str = "7") -> Answered:
    messages = [Message("system", "s"), Message("user", one.question.text), Message("assistant", answer)]
    conversation = Conversation(one.question.text, messages, answer=answer, end="answered")
    return answered(one, mark(one.question, conversation, one.toolbox), conversation, 1)


def test_answers_survive_a_line_that_was_cut_short(tmp_path: Path) -> None:
    path = tmp_path / "base.jsonl"
    one, two, three = (line(item(tmp_path, name)) for name in ("q1", "q2", "q3"))
    with Sheet(path) as sheet:
        sheet.add(one)
        sheet.add(two)
    whole = path.read_bytes()
    os.truncate(path, len(whole) - 20)  # killed in the middle of the second
    with Sheet(path) as sheet:
        assert sheet.answers == {"q1": one}
        sheet.add(three)
        sheet.add(two)
    assert read_answers(path) == {"q1": one, "q3": three, "q2": two}
    assert path.stat().st_mode & 0o077 == 0


def test_the_later_of_two_answers_counts_and_nonsense_none(tmp_path: Path) -> None:
    path = tmp_path / "base.jsonl"
    path.write_bytes(b"\xff\xfe\n[]\nnull\n" + b"[" * 100_000 + b"\n")
    one = item(tmp_path)
    with Sheet(path) as sheet:
        assert sheet.answers == {}
        sheet.add(line(one, "8"))
        sheet.add(line(one, "7"))
    assert read_answers(path)["q1"].answer == "7"
    with Sheet(path) as sheet:
        sheet.clear()
    assert read_answers(path) == {}
    assert read_answers(tmp_path / "none.jsonl") == {}


def test_two_at_once_do_not_write_one_file(tmp_path: Path) -> None:
    with Sheet(tmp_path / "a.jsonl"), pytest.raises(ExaminationError, match="under way"), Sheet(tmp_path / "a.jsonl"):
        pass
    with Sheet(tmp_path / "a.jsonl"):
        pass


def test_the_folder_hangs_on_questions_files_and_arms(tmp_path: Path) -> None:
    one = item(tmp_path)
    other = Item(one.question, Toolbox(tmp_path, version="2"))
    digests = {digest_of([one]), digest_of([other]), digest_of([one, other]), digest_of([one])}
    assert len(digests) == 3
    base, prompted = Arm("base", "base", "m"), Arm("base", "base", "m", prompt=PROMPT)
    folders = [folder_of(tmp_path, "d", [base], 72), folder_of(tmp_path, "d", [prompted], 72)]
    folders += [folder_of(tmp_path, "e", [base], 72), folder_of(tmp_path, "d", [base], 73)]
    assert len(set(folders)) == 4
    more = Arm("t", "teacher", "n")
    assert folder_of(tmp_path, "d", [base, more], 1) == folder_of(tmp_path, "d", [more, base], 1)
