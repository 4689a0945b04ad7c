"""A toolbox that offers a vocabulary: what its tools print, what is withheld, and how it says that something failed."""

import json
from pathlib import Path
from typing import Any

import pytest

from distill.generate.expert import UNABLE, Expert
from distill.generate.templates import Call
from distill.tools import NOTHING, SPECS, Limits, Toolbox
from distill.vocabularies import EXPLORE
from router.chat import Message
from tests.distill.vocabularies.asking import EXPERT, TEMPLATES, VOCABULARIES

WHERE = Call("run_command", {"command": "grep", "args": ["-rnw", "class Base", "."]})


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "pkg" / "sub").mkdir(parents=True)
    (tmp_path / "empty").mkdir()
    (tmp_path / "pkg" / "a.py").write_text("class A:\n\n    def run(self):\n        pass\n")
    (tmp_path / "pkg" / "sub" / "b.py").write_text(
        "from pkg.a import A\n\n\nclass B(A):\n    pass\nclass C(A):\n    pass\n"
    )
    (tmp_path / "pkg" / "none.py").write_text("")
    (tmp_path / "blob.bin").write_bytes(b"\0class\n")
    return tmp_path


async def called(root: Path, vocabulary: str, tool: str, **arguments: Any) -> str:
    toolbox = Toolbox(root, Limits(seconds=5.0, output=2000)).offering(VOCABULARIES[vocabulary])
    return await toolbox.call(tool, json.dumps(arguments))


async def test_results_are_printed_as_each_agent_prints_them(root: Path) -> None:
    wanted = {"pattern": "^class "}
    assert await called(root, "claude", "Grep", output_mode="content", **{"-n": True}, **wanted) == (
        "pkg/a.py:1:class A:\npkg/sub/b.py:4:class B(A):\npkg/sub/b.py:6:class C(A):"
    )
    assert await called(root, "claude", "Grep", **wanted) == "Found 2 files\npkg/a.py\npkg/sub/b.py"
    assert await called(root, "claude", "Grep", output_mode="count", path="pkg/sub/b.py", **wanted) == "pkg/sub/b.py:2"
    assert await called(root, "opencode", "grep", **wanted) == (
        "Found 3 matches\npkg/a.py:\n  Line 1: class A:\n\npkg/sub/b.py:\n  Line 4: class B(A):\n  Line 6: class C(A):"
    )
    assert await called(root, "cline", "search_files", path="pkg/sub", regex="^class ") == (
        "Found 2 results.\n# pkg/sub/b.py\n  4 | class B(A):\n  6 | class C(A):"
    )
    assert await called(root, "copilot", "grep_search", query="B(A)", isRegexp=False) == (
        "1 matches\npkg/sub/b.py:4: class B(A):"
    )
    assert await called(root, "claude", "Read", file_path="pkg/a.py", offset=3, limit=9) == (
        "     3\t    def run(self):\n     4\t        pass"
    )
    assert await called(root, "opencode", "read", filePath="pkg/a.py", offset=2, limit=1) == (
        "<file>\n00003|     def run(self):\n</file>"
    )
    assert await called(root, "bash", "bash", command="sed -n 1,3p pkg/a.py") == "class A:\n\n    def run(self):"
    assert await called(root, "codex", "shell", command=["wc", "-l", "pkg/a.py"]) == (
        "Exit code: 0\nOutput:\n4 pkg/a.py"
    )
    assert await called(root, "claude", "LS", path="pkg") == "- pkg/\n  - a.py\n  - none.py\n  - sub/"
    assert await called(root, "gemini", "list_directory", dir_path="pkg") == (
        "Directory listing for pkg:\na.py\nnone.py\n[DIR] sub"
    )


async def test_nothing_is_said_in_the_agents_words(root: Path) -> None:
    assert (
        await called(root, "claude", "Grep", pattern="nowhere", output_mode="content", **{"-n": True})
        == "No matches found"
    )
    assert await called(root, "opencode", "glob", pattern="**/*.rs") == "No files found"
    assert await called(root, "copilot", "list_dir", path="empty") == "Folder is empty"
    assert await called(root, "bash", "bash", command="grep -rn nowhere .") == NOTHING
    assert await called(root, "codex", "shell", command=["cat", "pkg/none.py"]) == f"Exit code: 0\nOutput:\n{NOTHING}"


async def test_failures_are_said_in_the_agents_words(root: Path) -> None:
    assert (
        await called(root, "claude", "Read", file_path="no.py")
        == "<tool_use_error>no such file: no.py</tool_use_error>"
    )
    assert await called(root, "opencode", "read", filePath="blob.bin") == "Error: blob.bin is a binary file"
    assert await called(root, "bash", "bash", command="cat ../x") == "Error: ../x is outside the repository"
    assert await called(root, "copilot", "Grep", pattern="x") == "ERROR: there is no tool 'Grep'"
    assert (await called(root, "claude", "Read")) == (
        "<tool_use_error>wrong arguments for Read: 'file_path' is missing</tool_use_error>"
    )
    assert (await called(root, "cline", "read_file", path="a.py", lines=3)) == (
        "<error>wrong arguments for read_file: there is no argument 'lines'</error>"
    )


async def test_limits_of_lines_and_of_characters_are_kept(root: Path) -> None:
    (root / "long.txt").write_text("".join(f"line {number}\n" for number in range(900)))
    assert await called(root, "bash", "bash", command="grep -n line long.txt | head -n 2") == "1:line 0\n2:line 1"
    assert await called(root, "claude", "Grep", pattern="line", output_mode="content", head_limit=1) == (
        "long.txt:line 0"
    )
    shown = await called(root, "opencode", "grep", pattern="line", path="long.txt")
    assert shown.endswith(" more characters)")
    assert len(shown) < 4000


async def test_a_folder_to_work_in_is_the_root_then(root: Path) -> None:
    assert await called(root, "codex", "shell", command=["ls"], workdir="pkg/sub") == "Exit code: 0\nOutput:\nb.py"
    for folder in ("pkg/a.py", "..", "nowhere", "/"):
        assert (await called(root, "codex", "shell", command=["ls"], workdir=folder)).startswith("Exit code: 1\n")
    outside = await called(root, "codex", "shell", command=["cat", "../a.py"], workdir="pkg/sub")
    assert outside == "Exit code: 1\nOutput:\nerror: ../a.py is outside the repository"


async def test_what_is_withheld_is_not_offered_and_not_done(root: Path) -> None:
    def names(vocabulary: str, *withheld: str) -> list[str]:
        toolbox = Toolbox(root).offering(VOCABULARIES[vocabulary], withheld)
        return [tool.function.name for tool in toolbox.specs]

    assert names("claude", "run_command") == ["Read", "LS"]
    assert names("claude", "read_file", "list_files") == ["Grep", "Glob"]
    assert names("explore", "run_command") == ["read_file", "list_files"]
    assert names("bash", "read_file") == ["bash"]
    withheld = Toolbox(root).offering(VOCABULARIES["bash"], ["read_file"])
    assert await withheld.call("bash", '{"command": "sed -n 1p pkg/a.py"}') == "Error: bash cannot do that here"
    assert await Toolbox(root).offering(EXPLORE, ["read_file"]).call("read_file", "{}") == (
        "error: there is no tool 'read_file'"
    )


async def test_the_own_vocabulary_is_the_own_tools(root: Path) -> None:
    own, offered = Toolbox(root), Toolbox(root).offering(EXPLORE)
    assert offered.specs == own.specs == SPECS
    for name, arguments in (
        ("run_command", {"command": "grep", "args": ["-rn", "class", "."]}),
        ("run_command", {"command": "rm", "args": ["-rf", "."]}),
        ("read_file", {"path": "pkg/a.py"}),
        ("list_files", {}),
        ("else", {}),
    ):
        assert await offered.call(name, json.dumps(arguments)) == await own.call(name, json.dumps(arguments))


@pytest.mark.parametrize("name", VOCABULARIES)
def test_the_expert_knows_a_vocabulary_by_any_of_its_tools(name: str) -> None:
    vocabulary = VOCABULARIES[name]
    for tool in vocabulary.specs:
        turn = EXPERT.answer([Message("user", "Where is the class Base defined?")], [tool])
        said = vocabulary.spoken(WHERE)
        assert said is not None
        if said.name == tool.function.name:
            assert turn.tool_calls
            assert json.loads(turn.tool_calls[0].function.arguments) == said.arguments
        else:
            assert turn.content == UNABLE


def test_an_expert_without_vocabularies_has_its_own() -> None:
    turn = Expert(TEMPLATES).answer([Message("user", "Where is the class Base defined?")], VOCABULARIES["claude"].specs)
    assert turn.content == UNABLE
