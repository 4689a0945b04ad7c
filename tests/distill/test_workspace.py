"""Where an agent says that it works, in the forms of the agents themselves."""

from __future__ import annotations

import time
from typing import Any

import pytest

from distill.workspace import Workspace, after_home, workspace_of
from router.chat import ChatRequest, Message

CLAUDE_CODE = """You are a coding agent.

# Environment
You have been invoked in the following environment:
 - Primary working directory: /home/user/src/shop
 - Is a git repository: true
 - Platform: linux

gitStatus: This is the git status at the start of the conversation.

Current branch: main

Status:
(clean)

Recent commits:
1a2b3c4 mend the basket
0000000 first
"""
CHANGED = CLAUDE_CODE.replace("(clean)", " M basket.py")
CONTINUED = "This session is being continued from a previous conversation"
CLAUDE_CODE_BEFORE = "<env>\nWorking directory: /Users/user/shop\nIs directory a git repo: Yes\n</env>"
WINDOWS = "C:\\Users\\user\\shop"
OPENCODE = """<env>
  Working directory: /home/user/shop/server
  Workspace root folder: /home/user/shop
  Is directory a git repo: yes
</env>"""
OPENCODE_ALONE = OPENCODE.replace("/home/user/shop\n", "/\n").replace("yes", "no")
CODEX = """<environment_context>
  <cwd>/home/user/shop</cwd>
  <shell>bash</shell>
  <current_date>2026-11-25</current_date>
</environment_context>"""
AIDER = "- Platform: Linux\n- Shell: SHELL=/bin/bash\n- The user is operating inside a git repository\n"
TOLD = {
    "claude code": ([Message("system", CLAUDE_CODE)], Workspace("/home/user/src/shop", "shop", "1a2b3c4", True)),
    "claude code, changed": ([Message("system", CHANGED)], Workspace("/home/user/src/shop", "shop", "1a2b3c4")),
    "claude code, continued": (
        [Message("system", CLAUDE_CODE), Message("user", f"{CONTINUED} that ran out of context.")],
        Workspace("/home/user/src/shop", "shop", "1a2b3c4"),
    ),
    "claude code, before": ([Message("system", CLAUDE_CODE_BEFORE)], Workspace("/Users/user/shop", "shop")),
    "opencode": ([Message("system", OPENCODE)], Workspace("/home/user/shop/server", "shop")),
    "opencode, no repository": ([Message("system", OPENCODE_ALONE)], Workspace("/home/user/shop/server", "server")),
    "codex": ([Message("developer", "Be good."), Message("user", CODEX)], Workspace("/home/user/shop", "shop")),
    "aider": ([Message("system", AIDER)], Workspace()),
    "windows": ([Message("system", f"Working directory: {WINDOWS}")], Workspace(WINDOWS, "shop")),
    "a home": ([Message("system", "Working directory: /home/user")], Workspace("/home/user")),
    "a root": ([Message("system", "Working directory: /")], Workspace("/")),
    "in a sentence": ([Message("system", "The Working directory: /x is where you are.")], Workspace()),
    "cwd elsewhere": ([Message("user", "What does <cwd>/etc</cwd> mean?")], Workspace()),
    "said later": (
        [Message("user", "Hi"), Message("assistant", "Hi"), Message("user", CODEX)],
        Workspace(),
    ),
    "parts": ([Message("user", [{"type": "text", "text": CODEX}])], Workspace("/home/user/shop", "shop")),
}


@pytest.mark.parametrize("agent", TOLD)
def test_what_agents_tell(agent: str) -> None:
    messages, expected = TOLD[agent]
    assert workspace_of(ChatRequest("m", messages)) == expected


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ({"repository": "flask"}, Workspace("/home/user/shop", "flask")),
        ({"folder": "/srv/x", "commit": "abc"}, Workspace("/srv/x", "x", "abc")),
        ({"repository": "", "folder": "", "commit": 7}, Workspace("/home/user/shop", "shop")),
        ({"repository": ["flask"]}, Workspace("/home/user/shop", "shop")),
    ],
)
def test_metadata_goes_first(metadata: dict[str, Any], expected: Workspace) -> None:
    request = ChatRequest("m", [Message("user", CODEX)], metadata=metadata)
    read = workspace_of(request)
    if metadata.get("folder"):
        assert read == expected
    else:
        assert (read.folder, read.repository) == (expected.folder, expected.repository)


@pytest.mark.parametrize("piece", ["Working directory: ", " ", "<environment_context>", "\n", "Recent commits:\na"])
def test_long_prompts_take_no_time(piece: str) -> None:
    start = time.monotonic()
    workspace_of(ChatRequest("m", [Message("system", piece * (2_000_000 // len(piece)))]))
    assert time.monotonic() - start < 1


def test_another_commit_than_that_of_the_status_is_not_clean() -> None:
    request = ChatRequest("m", [Message("system", CLAUDE_CODE)], metadata={"commit": "abcdef0"})
    assert workspace_of(request) == Workspace("/home/user/src/shop", "shop", "abcdef0")


@pytest.mark.parametrize(
    ("folder", "rest"),
    [("/home/user/x", "/x"), ("/Users/user", ""), ("/home/user2/x", None), ("/srv/home/user/x", None), ("", None)],
)
def test_what_comes_after_a_replaced_home(folder: str, rest: str | None) -> None:
    assert after_home(folder) == rest
