"""llm-comply, which checks servers against the Open Responses specification and OpenAI's, finds nothing wrong."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from gateway.backends.scripted import Act
from tests.gateway.running import Running, Script

TEXT, CALL = Act(text="Hello to you."), Act(calls=[("get_weather", '{"location": "San Francisco"}')])
# What a check would ask of a model instead of the wire. Images are looked at by whoever is the teacher.
LEFT_OUT = {"image-input", "chat-image-input"}
SKIPPED = {"reasoning-summary", "chat-reasoning-summary"}  # by llm-comply itself: only of models named as OpenAI's
BEFORE_THE_CALL = {"open-responses": 3, "openai-chat": 3}  # checks that come before the one that wants a tool call


@pytest.mark.parametrize("arm", ["nightschool", "teacher"])
@pytest.mark.parametrize("form", ["open-responses", "openai-chat"])
def test_llm_comply_finds_nothing(gateway: Running, student: Script, teacher: Script, form: str, arm: str) -> None:
    command = [str(Path(sys.executable).parent / "llm-comply"), "--format", form]
    listed = subprocess.run([*command, "--list"], capture_output=True, text=True, check=True, timeout=30).stdout
    checks = set(re.findall(r"^  (\S+)", listed, re.MULTILINE))
    # tool_choice "required" is beyond the student, so the teacher alone is asked for the call
    student.play(TEXT)
    teacher.play(*[TEXT] * (0 if arm == "nightschool" else BEFORE_THE_CALL[form]), CALL, TEXT)
    options = ["-u", f"{gateway.url}/v1", "-k", "none", "-m", arm, "--json"]
    wanted = checks - LEFT_OUT
    assert wanted
    command += [*options, "-f", ",".join(wanted)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    results = {result["id"]: result for result in msgspec.json.decode(done.stdout)["results"]}
    assert results.keys() == wanted
    unhappy = {name: result.get("errors") for name, result in results.items() if result["status"] == "failed"}
    assert not unhappy
    assert {name for name, result in results.items() if result["status"] == "skipped"} <= SKIPPED
