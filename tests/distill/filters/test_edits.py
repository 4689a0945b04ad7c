"""What agents without tools write into files: found in an answer, compared by its changes, and kept where it fits."""

from __future__ import annotations

import time

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distill.filters import Rules, Told, explain
from distill.filters.agreeing import agree, agreement
from distill.filters.editing import changed_lines, desk_of
from distill.filters.edits import Edit, edits_in
from distill.trace import Trace
from router.chat import AnswerMessage, ChatRequest, FunctionSpec, Message, Tool
from router.decision import Decision

SHOP = "import math\n\ndef rounded(price):\n    return math.floor(price)\n\ndef doubled(price):\n    return 2 * price\n"
ADDED = f"{SHOP}\n\ndef halved(price):\n    return price / 2\n"
GIVES = "I have *added these files to the chat* so you can go ahead and edit them.\n"
SHOWN = f"{GIVES}\nshop/prices.py\n```\n{SHOP}```\n"
SWITCHED = "I switched to a new code base. Please don't consider the above files or try to edit them any longer."
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


_LINES = st.lists(st.sampled_from(["a", " a", "", "...", "\x1f", "\ud800", "é\u2028", "b\r"]), max_size=5).map(
    "\n".join
)


@given(_LINES, st.lists(st.tuples(_LINES, _LINES), max_size=3))
def test_any_edit_may_be_made(file: str, edits: list[tuple[str, str]]) -> None:
    desk = desk_of(request(shown=f"{GIVES}\nshop/prices.py\n```\n{file}\n```\n"))
    answer = "".join(replaced(old, new) for old, new in edits)
    assert not changed_lines(answer, desk) or edits
    assert reason_of(answer, request(shown=f"{GIVES}\nshop/prices.py\n```\n{file}\n```\n")) in (
        "",
        "edit_elsewhere",
        "edit_of_nothing",
    )


def test_what_a_whole_file_says_again_is_no_change() -> None:
    shown = desk_of(request(answered_by="whole"))
    assert shown.files == {"shop/prices.py": SHOP}
    new = {("shop/prices.py", "+", "def halved(price):"), ("shop/prices.py", "+", "return price / 2")}
    assert changed_lines(whole(ADDED), shown) == new
    assert len(changed_lines(whole(ADDED, "prices.py"), shown)) > len(new)  # lands where it says: a second file
    assert changed_lines(replaced("def rounded(price):", "def floored(price):"), shown) == {
        ("shop/prices.py", "-", "def rounded(price):"),
        ("shop/prices.py", "+", "def floored(price):"),
    }
    assert not changed_lines(whole(SHOP), shown)


def test_edits_agree_when_they_change_the_same() -> None:
    shown = desk_of(request())
    by_search = replaced("    return 2 * price", "    return 2 * price\n\ndef halved(price):\n    return price / 2")
    other = f"{SHOP}\n\ndef tripled(price):\n    return price * 3\n"
    said = Message("assistant", whole(ADDED))
    assert agree(said, AnswerMessage(by_search), "", shown)
    assert not agree(said, AnswerMessage(whole(other)), "", shown)
    assert not agree(said, AnswerMessage("Add `halved`, which gives price / 2."), "", shown)
    assert not agree(
        Message("assistant", "Add `halved`, which gives price / 2."), AnswerMessage(whole(ADDED)), "", shown
    )


def request(asked: str = "Add halved to shop/prices.py.", shown: str = SHOWN, answered_by: str = "") -> ChatRequest:
    """As aider has it: an example of its own, the files, the errand."""
    examples = {"whole": [EXAMPLE], "blocks": [FLASK], "none": []}.get(answered_by, [EXAMPLE, FLASK])
    said = [("system", "Act as an expert software developer.")]
    said += [turn for example in examples for turn in (("user", "Be more casual"), ("assistant", example))]
    said += [("user", SWITCHED), ("assistant", "Ok.")] if examples else []
    said += [("user", shown), ("assistant", "Ok."), ("user", asked)]
    return ChatRequest("m", [Message(role, text) for role, text in said])


def chat(answer: str, asked: ChatRequest | None = None) -> list[Trace]:
    decided = Decision("teacher", "policy")
    return [Trace("t", 1.0, "c", asked or request(), "completed", decided, answer=AnswerMessage(answer))]


def reason_of(answer: str, asked: ChatRequest | None = None) -> str:
    """Why the check drops the answer."""
    (one,) = explain(chat(answer, asked), Told(Rules(confirm=False))).trajectories
    return next((finding.reason for finding in one.findings if finding.check == "edits fit"), "")


@pytest.mark.parametrize(
    "answer",
    [
        whole(ADDED),
        whole("def halved(price):\n    return price / 2\n", "shop/halves.py"),  # a new file
        replaced(
            "  def rounded(price):\n      return math.floor(price)", "  def rounded(price):\n      return int(price)"
        ),
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


COMMENT = "def f():\n  '''\n  ```\n  f()\n  ```\n  '''\n"


@pytest.mark.parametrize(
    "files",
    [
        f"shop/prices.py\n````\n{SHOP}```\nan example\n```\n{SHOP}````\n\nb.py\n````\nb = 1\n````\n",
        f"shop/prices.py\n<source>\n```\n````\n{SHOP}</source>\n\nb.py\n<source>\nb = 1\n</source>\n",
        f"shop/prices.py\n```\n{COMMENT}{SHOP}```\n\nb.py\n```\nb = 1\n```\n",
        f"shop/prices.py\n```\n{SHOP[:-1]}```\n\nb.py\n```\nb = 1```\n",  # without an end of line
        f"shop/prices.py\n```\n<<<<<<< SEARCH\n=======\n>>>>>>> REPLACE\n{SHOP}```\n\nb.py\n```\nb = 1\n```\n",
    ],
)
def test_files_are_read_to_their_end(files: str) -> None:
    shown = f"{GIVES}\n{files}"
    answer = replaced("    return 2 * price", "    return price * 2") + replaced("b = 1", "b = 2", "b.py")
    assert not reason_of(answer, request(shown=shown))
    assert desk_of(request(shown=shown)).files["b.py"].strip() == "b = 1"


@pytest.mark.parametrize(
    "answer",
    [
        "```python\nshop/prices.py\n<<<<<<< SEARCH\n{old}\n=======\n{new}\n>>>>>>> REPLACE\n```",  # diff-fenced
        "```python\nshop/prices.py\n```\n```python\n<<<<<<< SEARCH\n{old}\n=======\n{new}\n>>>>>>> REPLACE\n```",
        "shop/prices.py\n<<<<<<< SEARCH\n{old}\n=======\n{new}\n>>>>>>> REPLACE",
        "shop/prices.py\n````python\n<<<<<<<< SEARCH\n{old}\n=====\n{new}\n>>>>>>> REPLACE\n````",
        "shop/prices.py\n<source>\n<<<<<<< SEARCH\n{old}\n=======\n{new}\n>>>>>>> REPLACE\n</source>",
    ],
)
def test_blocks_stand_wherever_they_stand(answer: str) -> None:
    said = answer.format(old="    return 2 * price", new="    return price * 2")
    assert [*edits_in(said)] == [Edit("shop/prices.py", "    return 2 * price", "    return price * 2")]
    assert not reason_of(said)


def test_a_path_goes_for_the_blocks_after_it_and_fences_in_blocks_are_text() -> None:
    two = replaced("```\na", "```\nb", "README.md") + "and\n\n" + replaced("c", "d", "").lstrip()
    assert [*edits_in(two)] == [Edit("README.md", "```\na", "```\nb"), Edit("README.md", "c", "d")]


def test_what_stands_in_a_long_fence_is_written_and_not_claimed() -> None:
    readme = "shop/README.md\n````\n# Prices\n\n```python\nx = 1\n```\n\nCall `quite_new_name` of its own.py.\n````\n"
    (one,) = explain(chat(readme), Told(Rules(confirm=False))).trajectories
    assert not one.reason, one.findings


def test_blocks_are_made_one_after_the_other() -> None:
    first = replaced("    return 2 * price", "    return 3 * price")
    assert not reason_of(first + replaced("    return 3 * price", "    return 4 * price"))
    assert reason_of(first + first) == "edit_elsewhere"
    assert reason_of(first + replaced("    return 3 * price", "    return 2 * price")) == "edit_of_nothing"
    new = replaced("", "a = 1\nb = 2", "shop/new.py")
    assert not reason_of(new + replaced("a = 1", "a = 3", "shop/new.py"))
    assert reason_of(first * 400) == "edit_elsewhere"  # nobody means that


@pytest.mark.parametrize(
    "answer",
    [
        whole("\n\n".join(reversed(SHOP.strip().split("\n\n")))),
        whole(SHOP.replace("    return 2", "        return 2")),
        whole(SHOP.replace("\n\ndef", "\n\n\ndef")),
        replaced("import math\n", "import math\n\n"),
        replaced("import math\n...\ndef doubled(price):", "import cmath\n...\ndef twice(price):"),
    ],
)
def test_moved_and_indented_lines_are_changes(answer: str) -> None:
    assert not reason_of(answer)
    desk = desk_of(request())
    said = Message("assistant", answer)
    assert changed_lines(answer, desk)
    assert agree(said, AnswerMessage(f"Sure!\n\n{answer}"), "", desk)
    assert not agree(said, AnswerMessage(whole(ADDED)), "", desk)


def test_edits_that_do_not_move_alike() -> None:
    desk = desk_of(request())
    one, other = (
        whole(SHOP.replace("    return 2", "  return 2")),
        whole(SHOP.replace("    return math", "  return math")),
    )
    assert not agree(Message("assistant", one), AnswerMessage(other), "", desk)


GAPLESS = "    return math.floor(price)\ndef doubled(price):"


@pytest.mark.parametrize(
    "answer",
    [
        replaced("    return 2", "    return 3"),  # a part of a line
        replaced("def rounded(price):\n  return math.floor(price)", "x = 1"),  # indented unlike the file
        replaced(GAPLESS, f"import math\n{GAPLESS}"),
        "shop/prices.py\n```\n<<<<<<< SEARCH\nimport math\n```\n",  # no end
        "shop/prices.py\n```\n<<<<<<< SEARCH\nimport math\n=======\nimport cmath\n```\n",
        "<<<<<<< SEARCH\n=======\nimport cmath\n>>>>>>> REPLACE\n",  # of no file
        replaced("import math\n...\ndef doubled(price):", "import cmath\ndef twice(price):"),
    ],
)
def test_blocks_that_aider_would_not_take(answer: str) -> None:
    assert reason_of(answer) == "edit_elsewhere"


def test_blocks_in_place_of_whole_files() -> None:
    """They would be written into the file."""
    assert reason_of(replaced("import math", "import cmath"), request(answered_by="whole")) == "edit_elsewhere"


def test_who_takes_no_edits_quotes() -> None:
    """aider that is asked and not to edit; agents with tools."""
    quotes = [whole(SHOP), whole("    return 2 * price\n"), whole("import math\n")]
    asked = request("What does doubled do?", answered_by="none")
    samples = [AnswerMessage(f"`doubled` gives twice the `price_of`.\n\n{quote}") for quote in quotes]
    said = Message("assistant", samples[0].content)
    assert not reason_of(said.text, asked)
    assert agreement(said, samples[1:], "", asked) == 1
    with_tools = msgspec.structs.replace(request(), tools=[Tool(FunctionSpec("read"))])
    assert agreement(said, samples[1:], "", with_tools) == 1
    assert not reason_of(whole(SHOP), request("What does it do?", answered_by="blocks"))  # only blocks are edits there


def test_a_form_told_in_the_system_prompt() -> None:
    reminder = "path/to/filename.js\n```\n// entire file content ...\n// ... goes in between\n```\n"
    asked = request(f"Add halved.\n\n{reminder}", answered_by="none")
    asked.messages[0] = Message("system", f"# Example conversations:\n\n## ASSISTANT: {EXAMPLE}\n\n{reminder}")
    assert not reason_of(whole(ADDED), asked)
    assert reason_of(whole(SHOP), asked) == "edit_of_nothing"
    assert reason_of(whole("x = 1\n", "show_greeting.py"), asked) == "edit_elsewhere"
    assert reason_of(whole("x = 1\n", "path/to/filename.js"), asked) == "edit_elsewhere"
    assert reason_of(whole("x = 1\n", "filename.js"), asked) == ""  # a new file


def test_files_that_are_called_as_those_of_the_example() -> None:
    new = whole("print('Hi')\n", "show_greeting.py")
    assert not reason_of(new, request("Make a show_greeting.py that says hi."))
    assert not reason_of(new, request("创建show_greeting.py。"))
    shown = f"{GIVES}\nshow_greeting.py\n```\nprint('Ho')\n```\n"
    assert not reason_of(new, request("Say hi.", shown))


def test_an_answer_before_is_no_example() -> None:
    """One was asked first, and then to go ahead: what was said before comes before the files."""
    asked = request("Go ahead.")
    proposal = [Message("user", "How would you halve?"), Message("assistant", whole("x = 1\n", "shop/halves.py"))]
    asked.messages[-3:-3] = proposal
    assert not reason_of(whole("def halved(price):\n    return price / 2\n", "shop/halves.py"), asked)


def test_what_the_user_quotes_is_not_the_file() -> None:
    """aider's editor is told by its architect what a file shall become; users paste parts of files."""
    asked = request(f"Add a function:\n\n{whole(ADDED)}")
    assert not reason_of(whole(ADDED), asked)
    asked = request("Why?\n\nshop/prices.py\n```\n    return 2 * price\n```\n")
    assert not reason_of(replaced("import math", "import cmath"), asked)
    asked = request(f"Make it so:\n\n{whole(ADDED)}", "I am not sharing any files that you can edit yet.")
    assert not reason_of(whole(ADDED), asked)


def test_files_that_were_listed_and_not_shown() -> None:
    listed = "Here are summaries of some files present in my git repository.\n\nshop/basket.py:\n⋮\n│class Basket:\n"
    asked = request()
    asked.messages[-3:-3] = [Message("user", listed), Message("assistant", "Ok.")]
    assert reason_of(whole("class Basket: pass\n", "shop/basket.py"), asked) == "edit_elsewhere"
    assert not reason_of(whole("x = 1\n", "shop/other.py"), asked)


def test_paths_that_models_change() -> None:
    shown = f"{GIVES}\nmy notes.txt\n```\na\n```\n\nprices.py\n```\n{SHOP}```\n\napp/[id]/(one)/page.tsx\n```\na\n```\n"
    asked = request(shown=shown)
    assert reason_of(whole(SHOP, "path/to/prices.py"), asked) == "edit_of_nothing"
    assert reason_of(whole("a\n", "my notes.txt"), asked) == "edit_of_nothing"
    assert not reason_of(replaced("a", "b", "app/[id]/(one)/page.tsx"), asked)
    assert [*edits_in(whole("a\n", ".gitignore"))] == [Edit(".gitignore", None, "a\n")]
    assert reason_of(whole(ADDED, "prices.py")) == "edit_elsewhere"  # a second one, beside its folder
    assert not reason_of(replaced("    return 2 * price", "    return price * 2", "prices.py"))


def test_an_examples_file_that_is_in_the_chat() -> None:
    """Its text may be that of the example."""
    shown = f"{GIVES}\nshow_greeting.py\n```\nprint('Hey')\n```\n"
    assert not reason_of(whole("print('Hi')\n", "show_greeting.py"), request(shown=shown))


_PIECES = [
    "a.py\n```\n",
    "a.py\n```\nx\n```\n",
    "```x\n",
    "<<<<<<< SEARCH\n",
    "`",
    "a/",
    ".",
    "\n",
    "<source>\n",
    "~~~\n",
]
_PIECES += ["a.py\n```\n<<<<<<< SEARCH\nx\n=======\ny\n>>>>>>> REPLACE\n```\n", "...\n", "x\n", "a```\n", "=======\n"]


@pytest.mark.parametrize("piece", _PIECES)
def test_long_texts_take_no_time(piece: str) -> None:
    long = piece * (500_000 // len(piece))
    start = time.monotonic()
    explain(chat(f"a.py\n{long}", request(long, f"{GIVES}\n{long}")), Told(Rules(confirm=False)))
    agreement(Message("assistant", long), [AnswerMessage(long)] * 2, "", request(long, f"{GIVES}\n{long}"))
    assert time.monotonic() - start < 6


def test_many_files_edits_and_turns_take_no_time() -> None:
    start = time.monotonic()
    files = "".join(f"\n{number}/a.py\n```\nx{number}\n```\n" for number in range(20_000))
    edits = "".join(replaced(f"x{number}", "y", f"q{number}/a.py") for number in range(20_000))
    assert reason_of(edits, request(shown=GIVES + files)) == "edit_elsewhere"
    lines = "".join(f"x{number}\n" for number in range(50_000))
    edits = "".join(replaced(f"x{number}", "y") for number in range(150))
    assert not reason_of(edits, request(shown=f"{GIVES}\nshop/prices.py\n```\n{lines}```\n"))
    parts = replaced("x\n...\n" * 50_000 + "y", "x\n...\n" * 50_000 + "z")
    lines = "x\n" * 200_000
    same = f"{GIVES}\nshop/prices.py\n```\n{lines}```\n"
    assert reason_of(parts, request(shown=same)) == "edit_elsewhere"
    assert not reason_of(replaced("x\n...\nx", "z\n...\nz") * 190, request(shown=same))
    said: list[Message] = []
    for number in range(20_000):
        said += [Message("user", f"{number}? {SHOWN}"), Message("assistant", whole(f"{number}\n"))]
    assert not reason_of(whole(ADDED), ChatRequest("m", [*request().messages[:-1], *said, Message("user", "?")]))
    desk, answers = request().messages[:-1], []
    for number in range(300):
        desk.append(Message("user", f"{number}?"))
        trace = chat(whole(f"{SHOP}{number}\n" * 20), ChatRequest("m", [*desk]))[0]
        answers.append(msgspec.structs.replace(trace, id=str(number), created=float(number)))
        desk.append(Message("assistant", trace.answer and trace.answer.content))
    (one,) = explain(answers, Told(Rules(confirm=False))).trajectories
    assert len(one.learnt) == 300
    assert time.monotonic() - start < 10
