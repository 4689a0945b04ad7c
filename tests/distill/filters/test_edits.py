"""What agents without tools write into files: found in an answer, compared by its changes, and kept where it fits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distill.filters import Rules, Told, explain
from distill.filters.agreeing import agree
from distill.filters.edits import Edit, changed_lines, edits_in, shown_in
from distill.trace import Trace
from router.chat import AnswerMessage, ChatRequest, Message
from router.decision import Decision

SHOP = "import math\n\ndef rounded(price):\n    return math.floor(price)\n\ndef doubled(price):\n    return 2 * price\n"
ADDED = f"{SHOP}\n\ndef halved(price):\n    return price / 2\n"
SHOWN = f"I have added these files to the chat.\n\nshop/prices.py\n```\n{SHOP}```\n"
EXAMPLE = "Ok, I will:\n\nshow_greeting.py\n```\nprint('Hey')\n```"
FLASK = (
    "mathweb/app.py\n```python\n<<<<<<< SEARCH\nfrom flask import Flask\n=======\nimport flask\n>>>>>>> REPLACE\n```"
)


def whole(text: str, path: str = "shop/prices.py") -> str:
    return f"Here it is:\n\n{path}\n```python\n{text}```\n"


def replaced(old: str, new: str, path: str = "shop/prices.py") -> str:
    return f"{path}\n```python\n<<<<<<< SEARCH\n{old}\n=======\n{new}\n>>>>>>> REPLACE\n```\n"


def test_both_forms_are_found() -> None:
    assert [*edits_in(whole("a = 1\n"))] == [Edit("shop/prices.py", None, "a = 1\n")]
    assert [*edits_in("**./a.py:**\n" + replaced("x", "y", "`b.py`"))] == [Edit("b.py", "x", "y")]
    two = "a.py\n```\n<<<<<<< SEARCH\n=======\nnew\n>>>>>>> REPLACE\n<<<<<<< SEARCH\nx\n=======\n>>>>>>> REPLACE\n```"
    assert [*edits_in(two)] == [Edit("a.py", "", "new"), Edit("a.py", "x", "")]
    assert not [*edits_in("Call it so:\n\n```python\nrounded(3)\n```\nor not.py at all")]


@given(st.text())
def test_any_text_may_hold_edits(text: str) -> None:
    for edit in edits_in(f"{text}\na.py\n```\n<<<<<<< SEARCH\n{text}"):
        assert edit.path


def test_what_a_whole_file_says_again_is_no_change() -> None:
    shown = shown_in([Message("user", SHOWN)])
    assert shown == {"shop/prices.py": SHOP}
    new = {("shop/prices.py", "+", "def halved(price):"), ("shop/prices.py", "+", "return price / 2")}
    assert changed_lines(whole(ADDED), shown) == new
    assert changed_lines(whole(ADDED, "prices.py"), shown) == new  # models leave out folders
    assert changed_lines(replaced("def rounded(price):", "def floored(price):"), shown) == {
        ("shop/prices.py", "-", "def rounded(price):"),
        ("shop/prices.py", "+", "def floored(price):"),
    }
    assert not changed_lines(whole(SHOP), shown)


def test_edits_agree_when_they_change_the_same() -> None:
    shown = {"shop/prices.py": SHOP}
    by_search = replaced("    return 2 * price", "    return 2 * price\n\ndef halved(price):\n    return price / 2")
    other = f"{SHOP}\n\ndef tripled(price):\n    return price * 3\n"
    said = Message("assistant", whole(ADDED))
    assert agree(said, AnswerMessage(by_search), "", shown)
    assert not agree(said, AnswerMessage(whole(other)), "", shown)
    assert not agree(said, AnswerMessage("Add `halved`, which gives price / 2."), "", shown)
    assert not agree(
        Message("assistant", "Add `halved`, which gives price / 2."), AnswerMessage(whole(ADDED)), "", shown
    )


def chat(answer: str) -> list[Trace]:
    """As aider has it: an example of its own, the files, the errand."""
    said = [("system", "Act as an expert software developer."), ("user", "Be more casual"), ("assistant", EXAMPLE)]
    said += [("user", "Forget these files."), ("assistant", FLASK), ("user", SHOWN), ("assistant", "Ok.")]
    request = ChatRequest(
        "m", [Message(role, text) for role, text in [*said, ("user", "Add halved to shop/prices.py.")]]
    )
    return [Trace("t", 1.0, "c", request, "completed", Decision("teacher", "policy"), answer=AnswerMessage(answer))]


@pytest.mark.parametrize(
    "answer",
    [
        whole(ADDED),
        whole("def halved(price):\n    return price / 2\n", "shop/halves.py"),  # a new file
        replaced("def rounded(price):\n  return math.floor(price)", "def rounded(price):\n    return int(price)"),
        replaced("", "def halved(price):\n    return price / 2", "shop/halves.py"),
        "Nothing has to change: `rounded` is there.",
    ],
)
def test_edits_that_fit(answer: str) -> None:
    (one,) = explain(chat(answer), Told(Rules(confirm=False))).trajectories
    assert not one.reason, one.findings


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (whole(SHOP), "edit_of_nothing"),
        (replaced("    return 2 * price", "    return 2 * price"), "edit_of_nothing"),
        (whole("print('Hi')\n", "show_greeting.py") + "\n" + whole(ADDED), "edit_elsewhere"),
        (replaced("from flask import Flask", "import math", "mathweb/app.py"), "edit_elsewhere"),
        (replaced("def tripled(price):", "def halved(price):"), "edit_elsewhere"),
        (replaced("def halved(price):", "def half(price):", "shop/halves.py"), "edit_elsewhere"),
    ],
)
def test_edits_that_do_not(answer: str, reason: str) -> None:
    (one,) = explain(chat(answer), Told(Rules(confirm=False))).trajectories
    assert one.reason == reason, one.findings
