"""Aider, which speaks chat completions and takes edits out of the answer's text: each is made and committed.

The first one makes its linter complain, so that it asks again by itself; the last one answers a follow-up.
"""

from __future__ import annotations

from itertools import pairwise

import pytest

from gateway.backends.scripted import Act
from tests.clients.agent import AIDER, Place
from tests.clients.loop import Loop

pytestmark = pytest.mark.clients

EDITS = {
    "whole": "I change it.\n\na.py\n```\n{new}\n```\n",
    "diff": "I change it.\n\na.py\n```python\n<<<<<<< SEARCH\n{old}\n=======\n{new}\n>>>>>>> REPLACE\n```\n",
}
STEPS = ["one", "ONE", "ONE = 1", "ONE = 2"]


@pytest.mark.parametrize(("form", "way"), [("whole", "--stream"), ("diff", "--no-stream")])
def test_a_chat(loop: Loop, place: Place, form: str, way: str) -> None:
    acts = []
    for old, new in pairwise(STEPS):
        acts += [Act(text=EDITS[form].format(old=old, new=new), pieces=4), Act(text=f"feat: now {new}")]
    loop.answer_with(*acts)
    options = [*AIDER, way, "--edit-format", form, "a.py"]
    told = place.run(loop.gateway, loop.model, "aider", *options, said="Say it louder.\nTwice as loud.\n")
    assert told.count("Applied edit to a.py") == 3, told
    assert (place.repository / "a.py").read_text() == "ONE = 2\n"
    assert place.git("log", "--format=%s").splitlines() == [*[f"feat: now {step}" for step in STEPS[:0:-1]], "first"]
    assert place.git("status", "--porcelain", "--untracked-files=no") == ""
    traces = loop.written(6)
    assert [(trace.state, trace.wire) for trace in traces] == [("completed", "chat")] * 6
    assert {trace.decision.reason for trace in traces} == {loop.reason}
    edits, commits = traces[::2], traces[1::2]
    assert [bool(trace.request.stream) for trace in edits] == [way == "--stream"] * 3
    assert [trace.turn - edits[0].turn for trace in edits] == [0, 2, 4]  # after each edit it answers itself with "Ok."
    assert len({trace.conversation for trace in edits}) == 1
    if way == "--no-stream":  # in a stream it asks for no usage and counts itself
        assert told.count("Tokens: 10 sent") == 3
    assert "undefined name 'ONE'" in edits[1].request.messages[-1].text
    assert ["-ONE = 1\n+ONE = 2" in trace.request.messages[-1].text for trace in commits] == [False, False, True]
