"""canitoolcall's probe through the gateway, onto models that play its scenarios: the teacher's answers live, the
student's held drafts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from canitoolcall.probe import BUILTIN_SCENARIOS, probe

from gateway.backends.scripted import Act
from tests.gateway.running import Running, Script

PARIS, TOKYO = ("get_weather", '{"city": "Paris"}'), ("get_weather", '{"city": "Tokyo"}')
EVENT = msgspec.json.encode(
    {
        "title": "Design review",
        "start": "2026-10-01T15:00:00Z",
        "attendees": [{"name": "Ana", "email": "ana@example.com"}, {"name": "Bo", "email": "bo@example.com"}],
        "location": {"city": "Berlin", "room": "4.12"},
    }
).decode()
NOTE = '{"title": "Grüße aus Zürich", "body": "Café ☕ in 東京 — naïve résumé 🚀"}'
SCRIPT = [  # the first key that occurs in the conversation
    ("temp_c", Act(text="It is 18 °C and clear in Paris.")),
    ("right now", Act(calls=[PARIS])),
    ("Tokyo", Act(text="Both at once.", calls=[PARIS, TOKYO])),
    ("17 + 25", Act(text="42")),
    ("Design review", Act(calls=[("create_event", EVENT)])),
    ("Grüße", Act(calls=[("save_note", NOTE)])),
    ("on the server", Act(calls=[("get_server_time", "{}")])),
    ("Lisbon", Act(calls=[("get_weather", '{"city": "Lisbon"}')])),
    ("9.11", Act(thoughts="9.9 is larger than 9.11.", calls=[("record_answer", '{"answer": "9.9"}')])),
]


def answer(body: dict[str, Any]) -> Act:
    said = msgspec.json.encode(body["messages"]).decode()
    return next(act for key, act in SCRIPT if key in said)


@pytest.mark.parametrize("model", ["teacher", "nightschool"])
def test_the_probe_passes(tmp_path: Path, model: str) -> None:
    with (
        Script(answer, model="small") as student,
        Script(answer, model="large") as teacher,
        Running(tmp_path, student.url, teacher.url) as gateway,
    ):
        gateway.wait_ready()
        report = probe(f"{gateway.url}/v1", model, timeout_s=20)
        asked = {"teacher": teacher, "nightschool": student}[model].asked
    assert [(o.scenario_id, o.stream, o.detail) for o in report.outcomes if o.status != "pass"] == []
    assert not any(o.warnings for o in report.outcomes)
    assert len(report.outcomes) == 3 * len(BUILTIN_SCENARIOS)
    assert len(asked) > len(BUILTIN_SCENARIOS)  # forced calls are the teacher's, as the small model shows no grammar
