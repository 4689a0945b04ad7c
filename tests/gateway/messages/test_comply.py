"""llm-comply's checks of the Messages API, run as a process against a gateway. None is left out: those of images and of
forced calls are answered by the teacher, the rest by the student."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec

from gateway.backends.scripted import Act
from tests.gateway.running import Running, Script

CALL = Act(calls=[("get_weather", '{"location": "San Francisco"}')])
SAID = Act(text="Hello, dear world.")
STUDENT = [SAID] * 5 + [Act(text="It is 555.", thoughts="15 times 37.")]  # basic, system, turns, two streams, thinking
TEACHER = [CALL, SAID]  # tools, image


def test_every_check_passes(gateway: Running, student: Script, teacher: Script) -> None:
    student.play(*STUDENT)
    teacher.play(*TEACHER)
    command = [str(Path(sys.executable).with_name("llm-comply")), "--base-url", gateway.url + "/v1"]
    command += ["--api-key", "none", "--model", "claude-opus-4-1", "--format", "anthropic", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    found = msgspec.json.decode(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    assert {check["status"] for check in found["results"]} == {"passed"}, done.stdout
    assert len(found["results"]) >= 9
    assert not [check for check in found["results"] if check.get("warnings")]
