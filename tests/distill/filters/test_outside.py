"""Checks with something from outside: a snapshot, outcomes, samples, oracle, judge, corrected answers; and explain."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from distill.filters import CHECKS, Explained, Finding, Rules, Told, explain, sift
from distill.filters.told import Snapshot
from distill.outcome import Outcome
from distill.trace import Trace
from distill.workspace import Workspace
from router.chat import AnswerMessage, FunctionCall, Message, ToolCall
from tests.distill.filters.scenes import Scene, definitions, make_repository, new_scene

LENIENT = Rules(confirm=False)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_repository(tmp_path, 3)


def scene(root: Path, ours: bool) -> Scene:
    made = new_scene(root, random.Random(5))
    made.ours = ours
    return made.ask().search().read().say()


def whole(root: Path, clean: bool = True, whole: bool = True) -> Callable[[Workspace], Snapshot]:
    return lambda workspace: Snapshot(root, clean, whole)


def right(question: str, answer: str) -> bool:
    """An oracle that finds everything right."""
    return True


def reason(traces: Sequence[Trace], told: Told) -> str:
    return explain(traces, told).trajectories[0].reason


def notes(one: Explained, effect: str) -> list[str]:
    return [finding.reason for finding in one.findings if finding.effect == effect]


def test_a_snapshot_proves_results_and_says_what_it_cannot(root: Path) -> None:
    told = Told(LENIENT, snapshot=whole(root))
    known = dataclasses.replace(told, oracle=right)
    (ours,) = explain(scene(root, True).traces("c"), known).trajectories
    assert (ours.reason, notes(ours, "noted")) == ("", [])
    (other,) = explain(scene(root, False).traces("c"), told).trajectories
    assert (other.reason, notes(other, "noted")) == ("", ["unconfirmed"])
    (none,) = explain(scene(root, True).traces("c"), Told(oracle=right)).trajectories
    assert (none.reason, notes(none, "noted")) == ("", ["not_rerun", "not_rerun"])
    assert Finding("rerun", "noted", "not_rerun", 2, "run_command: no snapshot") in none.findings


@pytest.mark.parametrize("ours", [True, False])
def test_files_that_changed_since(root: Path, ours: bool) -> None:
    made = scene(root, ours)
    file = root / made.wanted.path
    file.write_text(file.read_text().replace(made.wanted.name, f"{made.wanted.name}2"))
    assert reason(made.traces("c"), Told(LENIENT, snapshot=whole(root))) == "stale_result"
    assert reason(made.traces("c"), Told(LENIENT, snapshot=lambda workspace: None)) == ""
    gone = root / "gone"
    assert reason(made.traces("c"), Told(LENIENT, snapshot=whole(gone))) == ""


def test_what_was_redacted_or_edited_may_differ(root: Path) -> None:
    made = scene(root, False)
    file = root / made.wanted.path
    file.write_text(file.read_text().replace(made.wanted.name, f"{made.wanted.name}2"))
    told = Told(LENIENT, snapshot=whole(root))
    redacted = [msgspec.structs.replace(trace, redacted=2) for trace in made.traces("c")]
    assert reason(redacted, told) == ""
    (sifted,) = sift([[*redacted[:-1], made.traces("c")[-1]]], told)
    assert [example.anew for example in sifted.examples] == [["c.0", "c.1"]]  # marked, since their token ids are gone
    edited = Scene(root, made.wanted, made.other, ours=False).ask()
    edited.call("Edit", {"file_path": "x"}, "Done.")
    edited.messages += made.messages[2:]
    assert reason(edited.traces("c"), told) == ""
    before = (
        Scene(root, made.wanted, made.other, ours=False).ask("Change it.").call("Edit", {"file_path": "x"}, "Done.")
    )
    before.say("Done.").messages.extend(made.messages[1:])
    assert reason(before.traces("c"), told) == ""
    swept = Scene(root, made.wanted, made.other, ours=False).ask()
    swept.call("Bash", {"command": "find . -name x -delete"}, "Exit code: 0\nOutput:\n")
    swept.messages += made.messages[2:]
    assert reason(swept.traces("c"), told) == ""
    looked = Scene(root, made.wanted, made.other, ours=False).ask().shell("ls .")
    looked.messages += made.messages[2:]
    assert reason(looked.traces("c"), told) == "stale_result"


def test_plain_commands_of_a_shell_are_read_again(root: Path) -> None:
    told = Told(LENIENT, snapshot=whole(root))
    made = Scene(root, *definitions(root)[:2], ours=False).ask()
    made.shell(f"cat {made.wanted.path}").shell(f"grep -rn {made.wanted.name} .").shell("ls .").shell("wc -l README.md")
    made.shell(f"grep -rn no_such_thing_anywhere {made.wanted.path}")
    (one,) = explain(made.say().traces("c"), told).trajectories
    assert [finding for finding in one.findings if finding.check == "rerun"] == [Finding("rerun", "passed")]
    left = Scene(root, made.wanted, made.other, ours=False).ask()
    for command in ("cat a | wc", "cat $(x)", "rg x", "cat 'a", "cd /; ls", "cat " + "a" * 2000, "", "cat ../up"):
        left.call("Bash", {"command": command}, "Exit code: 0\nOutput:\nother")
    left.call("Bash", {"command": "ls .", "workdir": "/elsewhere"}, "Exit code: 0\nOutput:\nother")
    left.call("Bash", {"command": "ls . "}, "Exit code: 0\nOutput:\nother\n[3 lines truncated]")
    (one,) = explain(left.say().traces("c"), told).trajectories
    assert {finding.reason for finding in one.findings if finding.check == "rerun"} == {"not_rerun"}


def test_what_a_search_found_stands_there_still(root: Path) -> None:
    told = Told(LENIENT, snapshot=whole(root))
    made = Scene(root, *definitions(root)[:2], ours=False).ask()
    long = root / "long.py"
    long.write_text("\n" + "x = 1  # " + "far " * 40 + "\n")
    place, (name, _, below) = f"{made.wanted.path}:{made.wanted.line}", made.wanted.path.rpartition("/")
    text = (root / made.wanted.path).read_text().splitlines()[made.wanted.line - 1]
    shown = f"{place}: {text}\n./{place}:{text}\nlong.py:2: x = 1  # {'far ' * 20}\n... and more"

    def found(result: str, **where: str) -> str:
        scene = Scene(root, made.wanted, made.other, ours=False).ask()
        scene.call("Grep", {"pattern": made.wanted.pattern, **where}, result)
        (one,) = explain(scene.say().traces("c"), told).trajectories
        return next(finding.reason or finding.effect for finding in one.findings if finding.check == "rerun")

    assert found(shown) == "passed"
    assert found(f"{below}:{made.wanted.line}: {text}", path=name) == "passed"
    assert found(f"{below}:{made.wanted.line}: {text}", folder=f"{made.folder}/{name}") == "passed"
    assert found(f"{place}: {text}, and so on") == "stale_result"
    assert found(f"{made.wanted.path}:9999: {text}") == "stale_result"
    unsure = f"long.py:2: x = 1  # {'far ' * 12}[...] far far"
    for result in (unsure, f"nowhere.py:1: {text}", f"../{place}: {text}", "No matches.", "2: nothing"):
        assert found(result) == "not_rerun", result


def test_a_snapshot_is_never_left(root: Path) -> None:
    made = Scene(root, *definitions(root)[:2], ours=False).ask()
    (root.parent / "secret.txt").write_text("one\n")
    (root / "leak").symlink_to(root.parent / "secret.txt")
    for path in ("../secret.txt", "/etc/passwd", f"{made.folder}/../secret.txt", "leak", "\x00", "", "a" * 9999):
        made.call("Read", {"file_path": path}, "     1→two")
    (one,) = explain(made.say().traces("c"), Told(LENIENT, snapshot=whole(root))).trajectories
    assert "stale_result" not in notes(one, "dropped")
    assert notes(one, "noted").count("not_rerun") == 7


FEEDBACK: list[tuple[dict[str, Any], str]] = [
    ({"score": 1.0}, ""),
    ({"score": 1.0, "teach": False}, "unconfirmed"),
    ({"score": None}, "unconfirmed"),
    ({"score": 0.0}, "unconfirmed"),
    ({"score": -1.0}, "bad_feedback"),
]


@pytest.mark.parametrize(("said", "expected"), FEEDBACK)
def test_feedback_on_a_natural_conversation(root: Path, said: dict[str, Any], expected: str) -> None:
    outcome = Outcome("c.2", "feedback", 9.0, **said)
    told = Told(outcomes=lambda trace: [outcome] if trace == outcome.trace else [])
    assert reason(scene(root, False).traces("c"), told) == expected


def test_without_feedback_or_samples_it_hangs_on_the_rule(root: Path) -> None:
    assert reason(scene(root, False).traces("c"), Told()) == "unconfirmed"
    assert reason(scene(root, False).traces("c"), Told(LENIENT)) == ""
    assert reason(scene(root, True).traces("c"), Told()) == "unconfirmed"
    assert reason(scene(root, True).traces("c"), Told(oracle=right)) == ""  # somebody knows


def test_samples_of_the_teacher_agree_or_not(root: Path) -> None:
    made = scene(root, False)
    final = made.messages[-1].text
    same = AnswerMessage(f"You will find {final}")
    other = AnswerMessage("It is in vendor/other_thing.py.")
    read = AnswerMessage(None, made.messages[4].tool_calls)
    grep = AnswerMessage(None, [ToolCall("z", FunctionCall("Grep", f'{{"pattern":"{made.wanted.pattern}"}}'))])
    wrong = AnswerMessage(None, [ToolCall("z", FunctionCall("Grep", '{"pattern": "else"}'))])

    def told(first: list[AnswerMessage], last: list[AnswerMessage]) -> Told:
        return Told(samples=lambda trace: {"c.0": first, "c.1": [read, read], "c.2": last}[trace])

    assert reason(made.traces("c"), told([], [same, same, other])) == ""
    assert reason(made.traces("c"), told([], [same, other, other])) == "disagreed"
    assert reason(made.traces("c"), told([], [same])) == "unconfirmed"
    assert explain(made.traces("c"), told([grep, grep, wrong], [same, same])).trajectories[0].learnt == [2, 4, 6]
    assert explain(made.traces("c"), told([grep, wrong, wrong], [same, same])).trajectories[0].learnt == [4, 6]


def test_what_follows_an_answer_that_was_not_agreed_on_is_not_confirmed_by_samples_that_heard_it(root: Path) -> None:
    made = scene(root, False)
    first = made.traces("c")
    said = [*made.messages, Message("user", "Say that once more, in other words.")]
    answer = AnswerMessage(made.messages[-1].text)
    request = msgspec.structs.replace(first[-1].request, messages=said)
    last = msgspec.structs.replace(first[-1], id="c.3", created=9.0, request=request, answer=answer)
    other = AnswerMessage("It is in vendor/other_thing.py.")

    def told(*samples: AnswerMessage) -> Told:
        return Told(samples=lambda trace: {"c.2": samples, "c.3": [answer, answer]}.get(trace, []))

    assert explain([*first, last], told(answer, answer)).trajectories[0].learnt == [6, 8]  # calls have no samples here
    assert explain([*first, last], told(other, other)).trajectories[0].reason == "disagreed"
    invented = msgspec.structs.replace(first[-1], answer=AnswerMessage("It is in vendor/other_thing.py."))
    request = msgspec.structs.replace(request, messages=[*said[:-2], Message("assistant", other.content), said[-1]])
    after = msgspec.structs.replace(last, request=request)
    assert explain([*first[:-1], invented, after], told(other, other)).trajectories[0].reason == "disagreed"


@pytest.mark.parametrize(("verdict", "dropped"), [(True, False), (None, False), (False, True)])
def test_oracle_and_judge(root: Path, verdict: bool | None, dropped: bool) -> None:
    made = scene(root, True)
    asked = set()

    def oracle(question: str, answer: str) -> bool | None:
        asked.add((question, answer))
        return verdict

    assert reason(made.traces("c"), Told(LENIENT, oracle=oracle)) == ("wrong_answer" if dropped else "")
    assert asked == {(made.messages[1].text, made.messages[-1].text)}
    judge = Told(oracle=right, judge=lambda trajectory, run: verdict)
    assert reason(made.traces("c"), judge) == ("judged_bad" if dropped else "")


@pytest.mark.parametrize(("needs", "dropped"), [(True, False), (None, False), (False, True)])
def test_a_call_where_nothing_had_to_be_looked_at(root: Path, needs: bool | None, dropped: bool) -> None:
    made = scene(root, True)
    told = Told(oracle=right, needs_tool=lambda question: needs)
    assert reason(made.traces("c"), told) == ("needless_call" if dropped else "")


@pytest.mark.parametrize(
    ("known", "not_taught", "dropped"),
    [
        ("search", {"search"}, True),
        ("search", {"multi_step"}, False),
        (None, {"multi_step"}, True),  # two calls
        (None, {"search", "analysis"}, False),
        (None, set(), False),
    ],
)
def test_a_teacher_that_is_no_better_does_not_teach(
    root: Path, known: str | None, not_taught: set[str], dropped: bool
) -> None:
    traces = scene(root, True).traces("c")
    model = traces[-1].model
    told = Told(
        oracle=right,
        category=lambda question: known,
        teaches=lambda teacher, category: teacher != model or category not in not_taught,
    )
    assert reason(traces, told) == ("teacher_no_better" if dropped else "")


def test_a_corrected_answer_is_learnt_in_place_of_the_bad_one(root: Path) -> None:
    made = scene(root, True)
    traces = made.traces("c")

    def told(**changes: Any) -> Told:
        outcome = Outcome("c.2", "feedback", 9.0, corrected=AnswerMessage("Better."), **changes)
        return Told(outcomes=lambda trace: [outcome] if trace == "c.2" else [])

    (sifted,) = sift([traces], told())
    (example,) = sifted.examples
    assert (sifted.dropped, example.learnt) == ({"bad_feedback": 1}, [6])
    assert [message.text for message in example.messages] == [*[m.text for m in made.messages[:-1]], "Better."]
    assert (example.traces, example.anew) == (["c.0", "c.1", "c.2"], ["c.2"])
    assert next(sift([traces], told(teach=False))).examples == []
    barred = [msgspec.structs.replace(trace, teach=False) for trace in traces]
    assert next(sift([barred], told())).examples == []
    assert next(sift([traces], dataclasses.replace(told(), reserved={root.name}))).examples == []
    assert next(sift([traces], dataclasses.replace(told(), finds_secret=lambda text: "Better" in text))).examples == []


def test_a_correction_is_learnt_once_and_outcomes_are_asked_for_once(root: Path) -> None:
    made = scene(root, True)
    first = len(made.messages)
    one = made.ask(f"And {made.other.name}?").search(made.other.pattern).say().traces("c")
    del made.messages[first:]
    other = [msgspec.structs.replace(t, id=f"{t.id}'") for t in made.ask("Thanks!").say("Fine.").traces("c")[3:]]
    asked: list[str] = []

    def outcomes(trace: str) -> list[Outcome]:
        asked.append(trace)
        return [Outcome(trace, "feedback", 9.0, corrected=AnswerMessage("Better."))] if trace == "c.2" else []

    (sifted,) = sift([[*one, *other]], Told(outcomes=outcomes, rules=LENIENT))
    assert [example.messages[-1].text for example in sifted.examples].count("Better.") == 1
    assert sorted(asked) == sorted({*asked})


def test_explain_tells_every_check_in_order(root: Path) -> None:
    traces = scene(root, True).traces("c")
    (one,) = explain(traces, Told(snapshot=whole(root), oracle=right)).trajectories
    assert [finding.check for finding in one.findings] == list(CHECKS)
    assert {finding.effect for finding in one.findings} == {"passed"}
    cut = [*traces[:2], msgspec.structs.replace(traces[2], finish_reason="length")]
    told = explain(cut, Told())
    (one,) = told.of("c.2")
    assert [finding.check for finding in one.findings] == [*CHECKS][:3]
    assert one.findings[-1] == Finding("authors", "dropped", "truncated", 6, "length")
    assert told.of("nobody") == []
    assert msgspec.json.decode(msgspec.json.encode(told))["trajectories"][0]["reason"] == "truncated"


def test_what_is_learnt_once_is_context_in_the_next_branch(root: Path) -> None:
    made = scene(root, True)
    first = made.traces("c")
    answered = len(made.messages)
    made.ask(f"And {made.other.name}, where is it?").search(made.other.pattern)
    made.say(f"In {made.other.path}.")
    second = made.traces("c")
    del made.messages[answered:]
    made.ask(f"Is {made.other.name} there too?").search(made.other.pattern.split()[1]).say(f"In {made.other.path}.")
    third = [msgspec.structs.replace(trace, id=f"{trace.id}'") for trace in made.traces("c")[len(first) :]]
    (sifted,) = sift([[*second, *third]], Told(oracle=right))
    assert [example.learnt for example in sifted.examples] == [[2, 4, 6, 8, 10], [8, 10]]
    assert [len(example.messages) for example in sifted.examples] == [11, 11]


def test_what_follows_the_last_good_answer_is_cut_off(root: Path) -> None:
    made = scene(root, True)
    made.ask(f"And {made.other.name}?").search(made.other.pattern).say("In nowhere_at_all.py.")
    (sifted,) = sift([made.traces("c")], Told(oracle=right))
    (example,) = sifted.examples
    assert (len(example.messages), example.learnt) == (7, [2, 4, 6])
    assert example.traces == ["c.0", "c.1", "c.2"]
    made.ask(f"Really? Where is {made.other.name}, then?").say(f"In {made.other.path}.")
    (sifted,) = sift([made.traces("c")], Told(oracle=right))
    (example,) = sifted.examples
    assert (len(example.messages), example.learnt) == (13, [2, 4, 6, 12])
