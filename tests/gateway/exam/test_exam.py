"""`nightschool exam` as a process: a gateway the expert as teacher, and real endpoints that answer well or badly."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest

from distill.examination.drawn import DrawnExamination, set_drawn
from distill.examination.results import Result
from distill.examination.teaching import read_teaching
from distill.generate.question import Question
from gateway.backends.scripted import Act
from tests.gateway.exam.pupil import BROKEN, FAULTS, GARBAGE, Pupil, failing
from tests.gateway.running import ROOT, Running, Script, environment, nightschool

EXAMINATION = DrawnExamination("small", 1, ["click", "iniconfig"], questions=40, seed=5)

pytestmark = [pytest.mark.gateways, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def questions(tmp_path_factory: pytest.TempPathFactory) -> list[Question]:
    work = tmp_path_factory.mktemp("work")
    return [item.question for item in asyncio.run(set_drawn(EXAMINATION, ROOT / "data" / "questions", work))]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A gateway whose teacher is the expert, and which has no student."""
    home = tmp_path_factory.mktemp("home")
    write(home, EXAMINATION)
    with Running(home, "", "", teacher__model="expert", router__policy="teacher") as running:
        running.wait(lambda health: health["teacher"]["ready"], 60)
        yield running


def write(folder: Path, examination: DrawnExamination) -> None:
    lines = [f"{key} = {json.dumps(value)}" for key, value in msgspec.to_builtins(examination).items()]
    (folder / f"{examination.name}.toml").write_text("\n".join(lines))


def command(gateway: Running, *arguments: str) -> tuple[list[str], dict[str, Any]]:
    settings = {
        "NIGHTSCHOOL_GATEWAY_PORT": str(gateway.port),
        "NIGHTSCHOOL_TEACHER_MODEL": "expert",
        "NIGHTSCHOOL_ROUTER_POLICY": "teacher",
        "COLUMNS": "200",
    }
    line = [sys.executable, "-m", "gateway.cli", "exam", "small.toml", *arguments]
    return line, {"env": environment(gateway.home, **settings), "cwd": gateway.home}


def exam(gateway: Running, *arguments: str, code: int = 0) -> tuple[str, Result]:
    line, place = command(gateway, *arguments)
    done = subprocess.run(line, **place, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    path = Path(done.stdout.rpartition("Result: ")[2].strip())
    return done.stdout, msgspec.json.decode(path.read_bytes(), type=Result)


def arms(result: Result) -> dict[str, Any]:
    return {arm.label: arm for arm in result.arms}


def test_teacher_alone_and_what_is_missing_is_said(gateway: Running) -> None:
    told, result = exam(gateway)
    (teacher,) = result.arms
    assert (teacher.role, teacher.model, teacher.scored) == ("teacher", "expert", True)
    assert teacher.figures.success.hits == teacher.figures.items == 40
    assert teacher.peak_memory > 10_000_000
    assert (result.student, result.decision, result.teachers) == ("", None, [])
    assert "base and prompt-only are not in it" in told
    assert "No student was scored, so nothing is decided." in told
    listed = nightschool("traces", "list", "--json", home=gateway.home)
    assert listed.stdout == ""  # what is asked in an examination leaves no traces


def test_every_cause_of_failure_appears_once(gateway: Running, questions: list[Question]) -> None:
    faults = failing(questions)
    with Script(Pupil(questions, faults)) as bad, Script(Pupil(questions, {})) as good:
        told, result = exam(gateway, "--arm", f"base=bad@{bad.url}", "--teacher", f"good=good@{good.url}")
    assert [arm.label for arm in result.arms] == ["base", "prompt-only", "good"]
    base = arms(result)["base"]
    assert base.scored
    assert base.causes == dict.fromkeys(FAULTS, 1)
    assert {one.question: one.cause for one in base.failures} == {
        text: cause for text, fault in faults.items() for cause in FAULTS if FAULTS[cause] is fault
    }
    assert result.failures == base.failures
    assert set(result.wanted) == set(FAULTS)
    assert base.figures.success.hits == 40 - len(FAULTS)
    assert arms(result)["good"].figures.success.hits == 40
    assert "Not decided" in told
    assert "http://" not in told.partition("Report:")[0]
    whole = next(one for one in result.comparisons if not one.category and one.second == "good")
    assert (whole.measure, whole.gained, whole.lost) == ("success", len(FAULTS), 0)
    for line in ("autonomous tool use", "accuracy of final answers", "seconds per question", "peak memory"):
        assert line in told.lower()


def test_the_page_shows_what_models_wrote_as_text(gateway: Running, questions: list[Question]) -> None:
    with Script(Pupil(questions, failing(questions))) as bad:
        told, _ = exam(gateway, "--arm", f"base=bad@{bad.url}")
    page = Path(told.rpartition("Report: ")[2].splitlines()[0]).read_text(encoding="utf-8")
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


def test_broken_endpoints_are_counted_and_never_fatal(gateway: Running, questions: list[Question]) -> None:
    few = dict(list(BROKEN.items())[:4])
    with Script(Pupil(questions, failing(questions, few))) as some, Script(Pupil(questions, {})) as good:
        _, result = exam(gateway, "--arm", f"some=m@{some.url}", "--teacher", f"t=m@{good.url}", "--fresh")
        found = arms(result)
        assert (found["some"].scored, found["some"].failed) == (True, 4)  # a tenth, and no more
        assert found["some"].causes == {"endpoint error": 4}
        assert found["some"].figures.p50.value is not None
        assert found["some"].figures.p95.value is None  # a failed request is slower than any answer
        assert found["t"].figures.success.hits == 40
        reasons = {one.detail for one in found["some"].failures}
        assert "the endpoint's answer makes no sense: it has no choices" in reasons
    broken = Pupil(questions, failing(questions, BROKEN))
    with Script(broken) as more, Script(Act(hang=True)) as silent:
        named = (f"more=m@{more.url}", f"silent=m@{silent.url}", "down=m@http://127.0.0.1:9/v1")
        told, result = exam(gateway, *(f"--arm={one}" for one in named), "--seconds=1", "--at-once=8", code=1)
    found = arms(result)
    assert {label: arm.scored for label, arm in found.items()} == {"more": False, "silent": False, "down": False}
    assert 5 <= found["more"].failed <= len(BROKEN)
    assert f"failed {found['more'].failed} of {found['more'].asked} questions" in found["more"].reason
    assert "APITimeoutError" in found["silent"].reason
    assert "were not asked any more" in found["down"].reason
    assert "No student was scored" in told


def test_nonsense_is_wrong_and_nothing_more(gateway: Running, questions: list[Question]) -> None:
    acts = {
        "garbage": Act(calls=[("read_file", GARBAGE), ("", ""), ("run_command", "[" * 5000)]),
        "chatter": Act(text="blah " * 20_000),
        "silence": Act(text=""),
        "deep": Act(calls=[("list_files", '{"path": ' + "[" * 20_000 + "]" * 20_000 + "}")]),
        "refuses": Act(text="I cannot do that."),
    }
    with ExitStack() as stack:
        urls = {label: stack.enter_context(Script(act)).url for label, act in acts.items()}
        _, result = exam(gateway, *(f"--arm={label}=m@{url}" for label, url in urls.items()))
    found = arms(result)
    assert all(arm.scored and arm.figures.success.hits <= 6 for arm in found.values())
    assert found["garbage"].causes == {"loop": 40}
    assert found["deep"].causes == {"loop": 40}
    needy = sum(bool(question.plan) for question in questions)
    assert found["chatter"].causes["no call"] == found["silence"].causes["no call"] == needy
    withheld = found["refuses"].figures.success.hits  # where no tool is offered that can do it, this is right
    assert found["refuses"].causes == {"refused": 40 - withheld}
    assert found["garbage"].figures.repeats.hits == 40


def test_a_killed_examination_goes_on_and_asks_nothing_twice(gateway: Running, questions: list[Question]) -> None:
    pupil, delays = Pupil(questions, {}), [0.15]

    def slow(body: dict[str, Any]) -> Act:
        return msgspec.structs.replace(pupil(body), delay=delays[0])

    with Script(slow) as endpoint:
        line, place = command(gateway, "--arm", f"base=m@{endpoint.url}", "--at-once", "2")
        process = subprocess.Popen(line, **place, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end = time.monotonic() + 60
        while len(pupil.begun) < 12 and time.monotonic() < end:
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert 12 <= len(pupil.begun) < 40
        delays[0] = 0.0
        _, result = exam(gateway, *line[5:])
        assert {arm.label: arm.asked for arm in result.arms} == {"base": 40, "prompt-only": 40}
        twice = [text for text, count in pupil.begun.items() if count > 2]  # base and prompt-only: two times
        assert len(twice) <= 2  # those that were under way
        total = sum(pupil.begun.values())
        exam(gateway, *line[5:])
        assert sum(pupil.begun.values()) == total
        exam(gateway, *line[5:], "--fresh")
        assert sum(pupil.begun.values()) == total + 80


def test_what_an_endpoint_failed_is_asked_again(gateway: Running, questions: list[Question]) -> None:
    faults = failing(questions, dict(list(BROKEN.items())[:3]))
    pupil = Pupil(questions, dict(faults))
    with Script(pupil) as endpoint:
        option = ("--arm", f"x=m@{endpoint.url}")
        _, first = exam(gateway, *option)
        assert arms(first)["x"].failed == 3
        pupil.faults.clear()
        pupil.begun.clear()
        _, second = exam(gateway, *option)
    assert pupil.begun.keys() == faults.keys()
    assert (arms(second)["x"].failed, arms(second)["x"].figures.success.hits) == (0, 40)


def test_teachers_are_compared_and_it_is_written_who_teaches_what(gateway: Running, tmp_path: Path) -> None:
    kinds = ["class_defined", "function_defined", "imports_from", "subclasses"]
    search = DrawnExamination("search", 1, ["click"], questions=24, seed=3, kinds=kinds)
    write(gateway.home, search)
    asked = [item.question for item in asyncio.run(set_drawn(search, ROOT / "data" / "questions", tmp_path))]
    wrong = {question.text: FAULTS["wrong answer"] for question in asked[:6]}
    fewer = {question.text: FAULTS["wrong answer"] for question in asked[3:6]}
    with ExitStack() as stack:
        urls = {name: stack.enter_context(Script(Pupil(asked, f))).url for name, f in (("s", wrong), ("t", fewer))}
        bad = stack.enter_context(Script(Pupil(asked, {**wrong, asked[7].text: FAULTS["loop"]}))).url
        named = (f"--arm=base=s@{urls['s']}", f"--teacher=good=good@{urls['t']}", f"--teacher=poor=poor@{bad}")
        line, place = command(gateway, *named)
        line[4] = "search.toml"
        done = subprocess.run(line, **place, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    result = msgspec.json.decode(Path(done.stdout.rpartition("Result: ")[2].strip()).read_bytes(), type=Result)
    assert [(one.label, one.recommended) for one in result.teachers] == [("good", True), ("poor", False)]
    path = gateway.home / "data" / "teaching.json"
    teaching = read_teaching(path)
    assert teaching is not None
    assert (teaching.teaches("good", "search"), teaching.teaches("poor", "search")) == (True, False)
    lesson = result.teachers[1].teacher.categories["search"]
    assert (lesson.items, lesson.gained, lesson.lost) == (24, 0, 1)
    assert [one.question for one in result.doubtful] == [question.text for question in asked[3:6]]
    assert "good (recommended)" in done.stdout
    assert str(path) in " ".join(result.notes)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--arm", "nonsense"], "names no arm"),
        (["--arm", "a=m@http://h/v1", "--arm", "a=n@http://h/v1"], "two arms are called 'a'"),
        (["--prompt", "none"], "there is no prompt 'none'; there are plan-then-act"),
        (["--key", "x"], "--key x makes no sense"),
        (["--key", "nobody=HOME"], "--key names 'nobody'"),
        (["--key", "teacher=NOT_SET_AT_ALL"], "NOT_SET_AT_ALL"),
        (["--adapter", "../../etc"], "there is no adapter '../../etc'"),
        (["--config", "none.toml"], "none.toml"),
    ],
)
def test_what_makes_no_sense_is_said_in_a_line(gateway: Running, arguments: list[str], word: str) -> None:
    line, place = command(gateway, *arguments)
    done = subprocess.run(line, **place, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert word in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_the_arms_of_a_gateway_are_the_default(tmp_path: Path, questions: list[Question]) -> None:
    """Student, prompt-only and teacher behind one gateway; the prompt reaches the student and no trace is left."""
    write(tmp_path, EXAMINATION)
    pupil = Pupil(questions, failing(questions, {"no call": FAULTS["no call"]}))
    prompted: list[str] = []

    def student(body: dict[str, Any]) -> Act:
        prompted.append(body["messages"][0]["content"])
        return pupil(body)

    with Script(student) as endpoint, Running(tmp_path, endpoint.url, "", teacher__model="expert") as running:
        running.wait_ready()
        _, result = exam(running)
        assert nightschool("traces", "list", "--json", home=tmp_path).stdout == ""
    assert [(arm.label, arm.model) for arm in result.arms] == [
        ("base", "scripted"),
        ("prompt-only", "scripted"),
        ("teacher", "expert"),
    ]
    assert [arm.figures.success.hits for arm in result.arms] == [39, 39, 40]
    assert {prompt.partition(".")[0] for prompt in prompted} == {
        "Answer questions about the code in the current directory; use the tools when you need them",
        "You answer questions about the code in the current directory",
    }
    assert any("no adapter is live" in note for note in result.notes)
    assert result.student == "base"
    assert result.decision.verdict == "ready"


def test_an_examination_that_is_not_there(gateway: Running) -> None:
    line, place = command(gateway)
    line[4] = "none"
    done = subprocess.run(line, **place, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "there is no examination 'none'; there are" in done.stderr


def test_without_a_gateway_arms_with_addresses_are_enough(tmp_path: Path, questions: list[Question]) -> None:
    write(tmp_path, EXAMINATION)
    with Script(Pupil(questions, {})) as endpoint:
        done = nightschool("exam", "small.toml", "--arm", f"teacher=m@{endpoint.url}", home=tmp_path)
        alone = nightschool("exam", "small.toml", "--arm", "teacher=m", home=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "data" / "examined").is_dir()
    assert alone.returncode == 1
    assert "no student and no teacher are set" in alone.stderr
