"""Workspace: the folder, repository and commit that a conversation is about, as far as its agent tells them.

Owns the forms in which agents do so: fields of `metadata`, and the environment blocks of system and first user
messages. Nothing is looked up: these are words of a client, and whoever opens a folder by them confines it first. A
home folder may have been replaced before it was kept: `/home/user` and `/Users/user` then stand for whatever was there,
so a folder need not be one of this machine.

* Claude Code: a list with "Primary working directory:", in earlier versions `<env>` with "Working directory:"; then
  what git says of the folder under "Status:", and the last commits under "Recent commits:", the newest first. All this
  is as old as the session: a conversation that goes on from a summary tells it again.
* OpenCode: `<env>` with "Working directory:" and "Workspace root folder:".
* Codex: `<environment_context>` with `<cwd>`.
* aider: says that there is a repository and not which; paths in its messages are relative to the root.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import takewhile

import msgspec

from router.chat import ChatRequest, Message

_PLACEHOLDERS = ("/home/user", "/Users/user")  # what home folders are replaced by
_LOOKED_AT = 1 << 18  # characters of a message
_FOLDER = re.compile(r"^[ \t]*(?:- )?(?:Primary working|Working) directory: ([^\n]{1,4096})$", re.MULTILINE)
_ROOT = re.compile(r"^[ \t]*Workspace root folder: ([^\n]{1,4096})$", re.MULTILINE)
_CODEX = re.compile(r"<environment_context>\s{0,20}<cwd>([^<\n]{1,4096})</cwd>")
_COMMIT = re.compile(r"^Recent commits:\n([0-9a-f]{7,40}) ", re.MULTILINE)
_CLEAN = re.compile(r"^Status:\n\(clean\)\n{1,3}Recent commits:\n", re.MULTILINE)
_CONTINUED = "This session is being continued from a previous conversation"
_HOME = re.compile(r"/?|~|/root|/(?:home|Users)(?:/[^/]+)?|[A-Za-z]:(?:/(?:Users(?:/[^/]+)?)?)?")


class Workspace(msgspec.Struct, frozen=True, omit_defaults=True):
    """Each is empty where nobody told it. `repository` is a name, by default that of the root folder. `clean`: when the
    conversation began, the files that git knows were those of the commit."""

    folder: str = ""
    repository: str = ""
    commit: str = ""
    clean: bool = False


def workspace_of(request: ChatRequest) -> Workspace:
    """What a request says of where its agent works. What `metadata` names goes before what is read out of texts."""
    told = {key: value for key, value in (request.metadata or {}).items() if isinstance(value, str)}
    texts = [message.text[:_LOOKED_AT] for message in _opening(request.messages)]
    read = next((found for found in map(_folder_in, texts) if found), "")
    folder = told.get("folder") or read
    root = next((found for text in texts if (found := _first(_ROOT, text))), "")
    commit = next((found for text in texts if (found := _first(_COMMIT, text))), "")
    # a root of "/" is what OpenCode says where there is no repository
    repository = told.get("repository") or _name(root) or _name(folder)
    # what is known of another commit says nothing of this one
    clean = not told.get("commit") and any(map(_CLEAN.search, texts)) and not any(_CONTINUED in text for text in texts)
    return Workspace(folder, repository, told.get("commit") or commit, clean)


def after_home(folder: str) -> str | None:
    """The rest of a path that leads through a home folder which was replaced; None for any other."""
    homes = (home for home in _PLACEHOLDERS if folder == home or folder.startswith(f"{home}/"))
    return next((folder.removeprefix(home) for home in homes), None)


def _opening(messages: list[Message]) -> Iterator[Message]:
    """What was said before anybody answered."""
    return takewhile(lambda message: message.role in ("system", "developer", "user"), messages)


def _folder_in(text: str) -> str:
    return _first(_CODEX, text) or _first(_FOLDER, text)


def _first(form: re.Pattern[str], text: str) -> str:
    found = form.search(text)
    return found[1].strip().strip("`\"'") if found else ""


def _name(folder: str) -> str:
    """A folder's own name; none for a home folder or a root, which is no repository's."""
    plain = folder.replace("\\", "/").rstrip("/")
    return "" if _HOME.fullmatch(plain) else plain.rsplit("/", 1)[-1]
