"""`nightschool traces` and `dataset explain`, as processes on a store of their own."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
from pathlib import Path

import pytest

from distill.outcome import Outcome
from distill.store.store import TraceStore
from distill.trace import Trace
from router.chat import AnswerMessage, ChatRequest, Message
from router.decision import Decision
from tests.distill.store.made import grown, trace
from tests.gateway.running import nightschool

pytestmark = pytest.mark.gateways


def filled(home: Path, *more: Trace) -> Path:
    async def fill() -> None:
        (home / "data").mkdir()
        async with await TraceStore.open(home / "data" / "traces.db") as store:
            await store.insert([*grown("alpha", 3, client="me"), *grown("beta", 2, words="render"), *more])
            await store.add_outcomes([Outcome("alpha-2", "feedback", 5.0, score=1.0, comment="just right")])

    asyncio.run(fill())
    return home


def lines(done: subprocess.CompletedProcess[str]) -> list[dict[str, object]]:
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def leaving(home: Path) -> list[bool]:
    """Whether models on other machines may be shown the traces."""
    exported = lines(nightschool("traces", "export", home=home))
    return [bool(one.get("may_leave_machine", True)) for one in exported]


def test_list_and_search_tell_traces(tmp_path: Path) -> None:
    home = filled(tmp_path)
    told = lines(nightschool("traces", "list", "--json", "--limit", "3", home=home))
    assert [one["id"] for one in told] == ["beta-1", "beta-0", "alpha-2"]
    told = lines(nightschool("traces", "list", "--json", "--client", "me", home=home))
    assert len(told) == 3
    assert [one["id"] for one in lines(nightschool("traces", "search", "alpha.py", "--json", home=home))] == ["alpha-2"]
    table = nightschool("traces", "list", home=home, COLUMNS="200")
    assert "Where is the render of beta?" in table.stdout
    assert nightschool("traces", "list", "--since", "1h", home=home).stdout.strip() == "no traces"


def test_show_tells_conversation_decision_and_outcomes(tmp_path: Path) -> None:
    home = filled(tmp_path, trace("odd", answer=AnswerMessage("\x1b[31mred\x1b[0m")))
    shown = nightschool("traces", "show", "chatcmpl-alpha-2", home=home, COLUMNS="160").stdout
    for words in ("Where is the handler of alpha?", "→ search", "It is in alpha.py.", "verified", "+1 just right"):
        assert words in shown
    assert json.loads(nightschool("traces", "show", "alpha-0", "--json", home=home).stdout)["id"] == "alpha-0"
    assert "\x1b[31m" not in nightschool("traces", "show", "odd", home=home).stdout
    missing = nightschool("traces", "show", "nothing", home=home)
    assert missing.returncode == 1
    assert "there is no trace 'nothing'" in missing.stderr


def test_stats_verify_and_backup(tmp_path: Path) -> None:
    home = filled(tmp_path)
    assert "5 traces" not in nightschool("traces", "stats", home=home).stdout  # they are of 1970
    assert nightschool("traces", "verify", home=home).stdout.strip() == "the store is whole"
    done = nightschool("traces", "backup", str(tmp_path / "copy.db"), home=home)
    assert done.returncode == 0, done.stderr
    with (home / "data" / "traces.db").open("r+b") as file:
        file.seek(4096 * 3)
        file.write(b"\xff" * 4096 * 4)
    broken = nightschool("traces", "verify", home=home)
    assert broken.returncode == 1
    assert "damaged" in broken.stderr + broken.stdout


def test_forget_tells_the_adapters_that_saw(tmp_path: Path) -> None:
    home = filled(tmp_path)
    for folder, name, content in (
        (home / "data" / "datasets" / "d1", "manifest.json", {"traces": ["alpha-1", "x"]}),
        (home / "models" / "adapters" / "night-1", "card.json", {"dataset": "d1"}),
        (home / "models" / "adapters" / "night-0", "card.json", {"dataset": "d0"}),
    ):
        folder.mkdir(parents=True)
        (folder / name).write_text(json.dumps(content))
    kept, gone = (b'{"traces":["%s"]}\n' % name for name in (b"x", b"alpha-1"))
    lessons = home / "data" / "datasets" / "d1" / "train.jsonl"
    lessons.write_bytes(kept + gone)
    asked = nightschool("traces", "forget", "alpha-1", home=home)  # nobody answers the question
    assert asked.returncode == 1
    done = nightschool("traces", "forget", "alpha-1", "--yes", home=home)
    assert "2 traces are forgotten" in done.stdout
    assert lessons.read_bytes() == kept
    assert "the adapter night-1 learnt from 1 of them" in done.stdout
    assert "night-0" not in done.stdout
    left = lines(nightschool("traces", "list", "--json", home=home))
    assert [one["id"] for one in left] == ["beta-1", "beta-0", "alpha-0"]
    assert nightschool("traces", "forget", "--client", "nobody", "--yes", home=home).returncode == 1


def test_what_is_exported_can_be_imported_elsewhere_and_taken(tmp_path: Path) -> None:
    home, other = tmp_path / "one", tmp_path / "two"
    home.mkdir()
    other.mkdir()
    filled(home)
    out = tmp_path / "all.jsonl"
    done = nightschool("traces", "export", "--out", str(out), home=home)
    assert "5 lines" in done.stdout, done.stderr
    assert [json.loads(line)["wire_id"] for line in out.read_text().splitlines()][:2] == [
        "chatcmpl-alpha-0",
        "chatcmpl-alpha-1",
    ]
    with out.open("a") as file:
        file.write("{broken\n")
    done = nightschool("traces", "import", str(out), home=other)
    assert "5 traces were read, 5 of them new; 1 lines were left out" in done.stdout, done.stderr
    assert "line 6" in done.stderr
    again = nightschool("traces", "import", str(out), home=other)
    assert "5 traces were read, 0 of them new" in again.stdout
    told = lines(nightschool("traces", "list", "--json", home=other))
    assert [one["teach"] for one in told] == [False] * 5
    assert "5 more" in nightschool("traces", "take", "--imported", "traces", home=other).stdout
    told = lines(nightschool("traces", "list", "--json", home=other))
    assert [one["teach"] for one in told] == [True] * 5
    assert leaving(other) == [False] * 5
    assert "0 more" in nightschool("traces", "take", "--imported", "traces", "--may-leave-machine", home=other).stdout
    assert leaving(other) == [True] * 5
    first = str(told[0]["id"])
    assert nightschool("traces", "take", first, home=other).returncode == 0
    assert leaving(other) == [True] * 5
    assert nightschool("traces", "take", first, "--stays-here", home=other).returncode == 0
    assert sorted(leaving(other)) == [False, True, True, True, True]
    assert nightschool("traces", "export", "--format", "csv", home=home).returncode == 1


def test_dataset_explain_says_why(tmp_path: Path) -> None:
    taught = trace(
        "t",
        "talk",
        request=ChatRequest("nightschool", [Message("user", "What is 2 + 2?")]),
        answer=AnswerMessage("It is 4."),
        decision=Decision(arm="teacher", reason="holdout"),
    )
    home = filled(tmp_path, taught)
    told = nightschool("dataset", "explain", "t", home=home, COLUMNS="160").stdout
    assert "unconfirmed" in told
    told = nightschool("dataset", "explain", "alpha-2", home=home, COLUMNS="160").stdout
    assert "not_the_teacher" in told


def test_dataset_explain_reserves_the_repositories_of_the_configured_examination(tmp_path: Path) -> None:
    about = ChatRequest("nightschool", [Message("user", "What is 2 + 2?")], metadata={"repository": "zipp"})
    decision = Decision(arm="teacher", reason="holdout")
    home = filled(tmp_path, trace("t", "talk", request=about, answer=AnswerMessage("It is 4."), decision=decision))
    assert "unconfirmed" in nightschool("dataset", "explain", "t", home=home, COLUMNS="160").stdout
    lines = 'name = "own"\nversion = 1\nrepositories = ["zipp"]\nquestions = 4\nseed = 1\n'
    (tmp_path / "own.toml").write_text(lines)
    own = {"NIGHTSCHOOL_NIGHT_EXAMINATION": str(tmp_path / "own.toml"), "COLUMNS": "160"}
    told = nightschool("dataset", "explain", "t", home=home, **own)
    assert "reserved" in told.stdout, told.stderr
    assert "unconfirmed" not in told.stdout
    wrong = nightschool("dataset", "explain", "t", home=home, NIGHTSCHOOL_NIGHT_EXAMINATION="none-such")
    assert wrong.returncode == 1
    assert "there is no examination 'none-such'" in wrong.stderr


def test_without_traces_one_line_says_so(tmp_path: Path) -> None:
    for command in ("list", "stats", "verify", "follow"):
        done = nightschool("traces", command, home=tmp_path)
        assert done.returncode == 1
        assert "there are no traces yet" in done.stderr


def test_of_a_damaged_file_the_good_lines_are_taken_and_the_bad_ones_listed(tmp_path: Path) -> None:
    home = filled(tmp_path)
    exported = nightschool("traces", "export", home=home).stdout.encode().splitlines()
    bad = [
        b"{broken",
        b"",
        b"\x00\x00\x00",
        b"\xff\xfe\x00{",
        b"[" * 100_000,
        b'{"id": "x", "created": "never"}',
        b'{"id": "\\ud800"}',
        exported[2][: len(exported[2]) // 2],
        b"null",
    ]
    file = tmp_path / "damaged.jsonl"
    file.write_bytes(b"\n".join([exported[0], *bad, *exported[1:]]) + b"\n{cut of")
    other = tmp_path / "other"
    other.mkdir()
    done = nightschool("traces", "import", str(file), home=other)
    assert f"{len(exported)} traces were read, {len(exported)} of them new" in done.stdout, done.stderr
    told = dict(re.findall(r"damaged\.jsonl, line (\d+): (.+)", done.stderr))
    last = len(bad) + len(exported) + 1
    assert sorted(map(int, told)) == [2, *range(4, 11), last]  # an empty line is none
    assert all(len(reason) < 300 and reason.isprintable() for reason in told.values())
