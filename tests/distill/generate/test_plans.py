"""Plans: detours, rows that are picked, values that are kept, and what the question itself tells."""

from __future__ import annotations

from pathlib import Path

import pytest

from distill.errors import QuestionError
from distill.generate.plans import proceed
from distill.generate.templates import Answer, Phrasebook, Recognised, Step, Template, load_templates
from distill.tools import ERROR, NOTHING

CUT = "\n[99 more characters not shown]"


def recognised(*plan: Step, answer: Answer | None = None, **slots: str) -> Recognised:
    words = answer or Answer("{path}: {items}", item="{text}", none="nothing", error="no file", detour="Looked again.")
    kinds = dict.fromkeys(slots, "text")
    return Recognised(Template("t", "items", slots=kinds, plan=list(plan), answer=words, phrasings=["x"]), slots)


def step(pattern: str, read: str = "matches", **more: object) -> Step:
    return Step(read, "run_command", {"command": "grep", "args": [pattern]}, **more)  # type: ignore[arg-type]


def called(asked: Recognised, *results: str) -> list[str]:
    outcome = proceed(asked, list(results))
    assert outcome.call is not None
    found: list[str] = outcome.call.arguments["args"]
    return found


def test_the_row_that_is_picked_fills_what_follows() -> None:
    found = "a.py:1:x\nb.py:2:y\nc.py:3:z"
    for pick, path in ((1, "a.py"), (2, "b.py"), (-1, "c.py")):
        assert called(recognised(step("x", pick=pick), step("{path}")), found) == [path]
    assert proceed(recognised(step("x", pick=4), step("{path}")), [found]).answer == "nothing"


def test_what_is_kept_is_not_replaced() -> None:
    asked = recognised(step("x", keep={"first": "path"}), step("y"), step("{first} {path}"))
    assert called(asked, "a.py:1:x", "b.py:2:y") == ["a.py b.py"]


def test_a_detour_is_taken_where_the_step_before_failed_and_else_not() -> None:
    asked = recognised(step("x"), step("again", when="failed"), step("more {path}", when="failed"))
    assert called(asked, ERROR + "no such file: x") == ["again"]
    assert called(asked, ERROR + "no such file: x", "b.py:2:y") == ["more b.py"]
    assert proceed(asked, [ERROR + "no such file: x", "b.py:2:y", "b.py:3:z"]).answer == "Looked again. b.py: z"
    assert proceed(asked, ["a.py:1:x"]).answer == "a.py: x"
    assert proceed(asked, [NOTHING]).answer == "nothing"


def test_a_detour_that_fails_ends_the_plan() -> None:
    asked = recognised(step("x"), step("again", when="failed"), step("more", when="failed"))
    assert proceed(asked, [ERROR + "no such file: x", NOTHING]).answer == "Looked again. nothing"
    assert proceed(asked, [ERROR + "x", ERROR + "no such file: y"]).answer == "no file"


def test_a_cut_result_is_narrowed_where_the_plan_says_so() -> None:
    narrowed = recognised(step("x"), step("narrow", when="cut"))
    assert called(narrowed, "a.py:1:x" + CUT) == ["narrow"]
    assert proceed(narrowed, ["a.py:1:x"]).answer == "a.py: x"
    assert proceed(recognised(step("x")), ["a.py:1:x" + CUT]).answer == "a.py: x"


def test_the_steps_after_a_detour_go_on_from_what_it_found() -> None:
    asked = recognised(step("x"), step("any case", when="nothing"), step("read {path}"))
    assert called(asked, NOTHING) == ["any case"]
    assert called(asked, NOTHING, "b.py:2:y") == ["read b.py"]
    assert called(asked, "a.py:1:x") == ["read a.py"]


def test_a_text_is_read_without_a_call() -> None:
    asked = recognised(Step("pasted", text="{code}"), answer=Answer("{parameters}"), code="def f(a, b=1):\n    pass")
    assert proceed(asked, []).answer == "(a, b=1)"
    broken = recognised(Step("pasted", text="{code}"), answer=Answer("?", none="unreadable"), code="def f(:")
    assert proceed(broken, []).answer == "unreadable"


def test_code_in_a_question_keeps_its_lines() -> None:
    phrasings = ["```\n{code}\n```\nWhat is  {name}?"]
    template = Template("t", "items", phrasings=phrasings, slots={"code": "code", "name": "name"})
    code = "def f():\n\n    return 1"
    found = Phrasebook([template]).recognise(f"```\n{code}\n```\nWhat is f?\n")
    assert found is not None
    assert found.slots == {"code": code, "name": "f"}


def test_a_long_row_of_spaces_is_no_trouble() -> None:
    book = Phrasebook(load_templates(Path(__file__).parents[3] / "data" / "questions"))
    assert book.recognise("```python\n" + " " * 200_000 + "x") is None
    assert book.recognise("x" * 50_000 + " docstring?" + "\n" * 50_000) is None


@pytest.mark.parametrize(
    ("plan", "complaint"),
    [
        ("plan = [{ read = 'matches' }]", "tool or a text"),
        ("plan = [{ read = 'matches', tool = 'list_files', text = '{a}' }]", "tool or a text"),
        ("plan = [{ read = 'matches', tool = 'list_files', pick = 0 }]", "row 0"),
        ("plan = [{ read = 'matches', tool = 'list_files', when = 'often' }]", "when"),
        ("pair = ['nobody']", "nobody"),
    ],
)
def test_a_damaged_plan_is_a_clear_error(tmp_path: Path, plan: str, complaint: str) -> None:
    for category in ("analysis", "multi_step", "edge", "negative"):
        (tmp_path / f"{category}.toml").write_text("")
    (tmp_path / "search.toml").write_text(f"[[template]]\nname = 'a'\nfill = 'items'\nphrasings = ['x']\n{plan}\n")
    with pytest.raises(QuestionError, match=complaint):
        load_templates(tmp_path)


def test_a_category_may_have_several_files(tmp_path: Path) -> None:
    for category in ("search", "analysis", "multi_step", "edge", "negative"):
        (tmp_path / f"{category}.toml").write_text("")
    (tmp_path / "edge_more.toml").write_text("[[template]]\nname = 'a'\nfill = 'items'\nphrasings = ['x']\n")
    (template,) = load_templates(tmp_path)
    assert template.category == "edge"
