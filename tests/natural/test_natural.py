"""A natural day in seconds: openai-agents and a scripted teacher, through day, labels and filters to the sheets."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.backends.scripted import Act
from tests.gateway.running import Script
from tests.natural.__main__ import main
from tests.natural.exploring import tools_on
from tests.natural.options import OptionError, read

_NAME = re.compile(r"\b\w*[a-z_][A-Z_]\w*\b|\b(?<=class )\w+|(?<=function )\w+")


def teacher(body: dict[str, Any]) -> Act:
    """Looks for the name in the question and says where it is. Makes up arguments; asked again, counts otherwise."""
    messages = body["messages"]
    question = next(message["content"] for message in reversed(messages) if message["role"] == "user")
    name = next(iter(_NAME.findall(question)), "def ")
    if messages[-1]["role"] != "tool":
        return Act(calls=[("search", msgspec.json.encode({"pattern": name, "folder": "."}).decode())])
    found = re.search(r"^(\S+\.py):(\d+): ", messages[-1]["content"])
    if found is None:
        return Act(text=f"I found no {name}; a search for it found nothing.")
    if "arguments" in question or "parameters" in question:
        return Act(text=f"It takes `made_up_argument`; see {found[1]}, line {found[2]}.")
    if "How many" in question and body.get("seed"):
        return Act(text=f"As many as in `some_module_{body['seed']}.py`.")
    return Act(text=f"That is in {found[1]}, line {found[2]}.")


def test_a_day_and_its_night(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    day, again = tmp_path / "day", tmp_path / "again"
    words = ["AGENTS=openai-agents", "PACKAGES=pluggy,iniconfig,tenacity", "COUNT=40", "SAMPLES=2"]
    with Script(teacher) as script:
        assert main([f"OUT={day}", f"TEACHER_URL={script.url}", *words]) == 0
    table = capsys.readouterr().out
    report = msgspec.json.decode((day / "report.json").read_bytes())
    (figures,) = report["agents"].values()
    assert report["ends"] == {"openai-agents": {"answered": 40}}
    left_out = Counter(figures["dropped"]) + Counter(figures["dropped runs"])
    assert figures["repositories"] == 3
    assert figures["kept"] > 5
    assert figures["learnt messages"] > 10
    assert left_out["ungrounded"] > 0
    assert left_out["disagreed"] >= report["labelled"]["disagreed"] > 0
    assert figures["kept"] + sum(figures["dropped"].values()) == figures["trajectories"]
    for name, wanted in (("kept.md", figures["kept"]), ("dropped.md", sum(figures["dropped"].values()))):
        assert (day / name).read_text().count("\n## ") == wanted
    assert "(learnt)" in (day / "kept.md").read_text()
    assert main([f"OUT={again}", f"STORE={day}"]) == 0
    assert capsys.readouterr().out == table
    assert (again / "dropped.md").read_text() == (day / "dropped.md").read_text()


def test_the_tools_stay_inside(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "outside.py").write_text("no = 1\n")
    (root / "inside.py").write_text("yes = 1\nyes = 2\n")
    list_files, read_file, search = tools_on(root)
    assert list_files(".") == "inside.py (2 lines)"
    assert read_file("inside.py", 2, 5) == "inside.py has 2 lines\n2: yes = 2"
    assert search("yes = 2", ".") == "inside.py:2: yes = 2"
    assert search("no", ".") == "No matches."
    for name in ("../outside.py", str(tmp_path / "outside.py")):
        with pytest.raises(PermissionError):
            read_file(name, 1, 5)


@pytest.mark.parametrize(
    ("words", "wrong"),
    [
        (["OUT=x"], "a teacher is wanted"),
        (["TEACHER_URL=http://x"], "OUT="),
        (["OUT=x", "COUNT=many", "TEACHER_URL=http://x"], "not a number"),
        (["OUT=x", "AGENTS=claude", "TEACHER_URL=http://x"], "no agent 'claude'"),
        (["OUT=x", "COLOUR=red"], "'COLOUR=red' is not understood"),
    ],
)
def test_words_that_are_not_understood(words: list[str], wrong: str) -> None:
    with pytest.raises(OptionError, match=wrong):
        read(words)
