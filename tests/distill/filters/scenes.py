"""Good conversations over small repositories: an agent looks for a definition, reads it and says where it is.

Two agents: ours, with the exploring agent's tools, and another with tools of its own shape. Results come from the files
themselves. Everything hangs on a seed.
"""

from __future__ import annotations

import json
import random
import re
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import msgspec

from distill.reading import Reader
from distill.tools import SPECS
from distill.trace import Trace
from router.chat import AnswerMessage, ChatRequest, FunctionCall, FunctionSpec, Message, Tool, ToolCall
from router.decision import Decision

_VERBS = ["load", "parse", "build", "merge", "split", "render", "resolve", "collect", "encode", "compare", "schedule"]
_NOUNS = ["config", "record", "schema", "tree", "batch", "token", "header", "ledger", "index", "window", "budget"]
_FOLDERS = ["core", "io", "store", "web", "jobs"]
TAUGHT = Decision("teacher", "policy")


def make_repository(root: Path, seed: int) -> Path:
    """A package of some modules with functions, classes and constants, none twice."""
    chance = random.Random(seed)
    names = [f"{verb}_{noun}" for verb in _VERBS for noun in _NOUNS]
    chance.shuffle(names)
    package = root / f"project{seed}"
    for folder in chance.sample(_FOLDERS, 3):
        (package / folder).mkdir(parents=True)
        for noun in chance.sample(_NOUNS, 2):
            body = [f'"""Keeps each {noun}."""', "", f"{noun.upper()}_LIMIT = {chance.randint(3, 99)}"]
            for _ in range(chance.randint(3, 6)):
                name = names.pop()
                what = name.title().replace("_", "") if chance.random() < 0.3 else ""
                body += ["", "", *(_class(what, name) if what else _function(name, chance))]
            (package / folder / f"{noun}.py").write_text("\n".join(body) + "\n")
    (package / "README.md").write_text(f"# Project {seed}\n\nA small package.\n")
    return package


def _function(name: str, chance: random.Random) -> list[str]:
    noun = name.split("_")[1]
    filler = [f"    {noun}_{n} = source[{n}]" for n in range(chance.randint(1, 4))]
    return [f"def {name}(source, strict=False):", f'    """Does it to one {noun}."""', *filler, f"    return {noun}_0"]


def _class(what: str, name: str) -> list[str]:
    return [f"class {what}:", f'    """One {name.split("_")[1]}."""', "", "    def close(self):", "        return None"]


@dataclass(frozen=True)
class Definition:
    """Something that a repository defines. `pattern` finds it."""

    name: str
    path: str
    line: int
    pattern: str


def definitions(root: Path) -> list[Definition]:
    found = []
    for file in sorted(root.rglob("*.py")):
        for number, line in enumerate(file.read_text().splitlines(), 1):
            if line.startswith(("def ", "class ")):
                name = line.split()[1].split("(")[0].rstrip(":")
                path = file.relative_to(root).as_posix()
                found.append(Definition(name, path, number, f"{line.split()[0]} {name}"))
    return found


def _tool(name: str, required: list[str], **properties: str) -> Tool:
    schema = {
        "type": "object",
        "properties": {key: {"type": kind} for key, kind in properties.items()},
        "required": required,
        "additionalProperties": False,
    }
    return Tool(FunctionSpec(name, f"The tool {name}.", schema))


OTHERS = [
    _tool("Grep", ["pattern"], pattern="string", path="string"),
    _tool("Read", ["file_path"], file_path="string", offset="integer", limit="integer"),
    _tool("Bash", ["command"], command="string", description="string"),
    _tool("Edit", ["file_path"], file_path="string", old_string="string", new_string="string"),
]


@dataclass
class Scene:
    """A conversation while it is made: its messages, and for each answer of the assistant how it ended."""

    root: Path
    wanted: Definition
    other: Definition
    ours: bool
    messages: list[Message] = field(default_factory=list)
    endings: dict[int, str] = field(default_factory=dict)
    _ids: Any = field(default_factory=count)

    @property
    def folder(self) -> str:
        return f"/home/user/{self.root.name}"

    @property
    def tools(self) -> list[Tool]:
        return SPECS if self.ours else OTHERS

    def ask(self, text: str = "") -> Scene:
        if not self.messages:
            told = "" if self.ours else f"\n<env>\nWorking directory: {self.folder}\n</env>"
            self.messages.append(Message("system", "Answer questions about the code." + told))
        self.messages.append(Message("user", text or f"Where is {self.wanted.name} defined?"))
        return self

    def call(self, name: str, arguments: dict[str, Any], result: str | None = None) -> Scene:
        """A call and its result, by default what the tool gives."""
        identity = f"call_{next(self._ids)}"
        calls = [ToolCall(identity, FunctionCall(name, json.dumps(arguments)))]
        said = result if result is not None else self.run(name, arguments)
        self.messages += [Message("assistant", None, calls), Message("tool", said, tool_call_id=identity)]
        return self

    def search(self, pattern: str = "") -> Scene:
        wanted = pattern or self.wanted.pattern
        if self.ours:
            return self.call("run_command", {"command": "grep", "args": ["-rn", wanted, "."]})
        return self.call("Grep", {"pattern": wanted})

    def read(self, path: str = "", start: int = 0) -> Scene:
        path, start = path or self.wanted.path, start or self.wanted.line
        if self.ours:
            return self.call("read_file", {"path": path, "start": start, "lines": 4})
        return self.call("Read", {"file_path": f"{self.folder}/{path}", "offset": start, "limit": 4})

    def shell(self, command: str) -> Scene:
        """The other agent's shell, in the form of those that tell a status."""
        program, *args = command.split()
        given = Reader(self.root).answer("run_command", json.dumps({"command": program, "args": args}))
        assert given is not None
        return self.call("Bash", {"command": command, "description": "Looks."}, f"Exit code: 0\nOutput:\n{given}")

    def say(self, text: str = "", ending: str = "stop") -> Scene:
        wanted = self.wanted
        self.messages.append(Message("assistant", text or f"{wanted.name} is in {wanted.path}, line {wanted.line}."))
        self.endings[len(self.messages) - 1] = ending
        return self

    def run(self, name: str, arguments: dict[str, Any]) -> str:
        """What the tool of either agent gives."""
        reader = Reader(self.root)
        if self.ours:
            given = reader.answer(name, json.dumps(arguments))
            assert given is not None
            return given
        if name == "Grep":
            words = {"command": "grep", "args": ["-rn", arguments["pattern"], "."]}
            found = reader.answer("run_command", json.dumps(words)) or ""
            return "No matches found" if found == "(no output)" else found
        path = arguments["file_path"].removeprefix(f"{self.folder}/")
        if not (self.root / path).is_file():
            return "Error: File does not exist." if not (self.root / path).exists() else "Error: EISDIR: is a directory"
        lines = (self.root / path).read_text().splitlines()
        start = arguments.get("offset", 1)
        shown = enumerate(lines[start - 1 :][: arguments.get("limit", 2000)], start)
        return "\n".join(f"{number:>6}→{line}" for number, line in shown)

    def traces(self, conversation: str) -> list[Trace]:
        """A trace for each thing the assistant said."""
        metadata = {"repository": self.root.name} if self.ours else None
        made = []
        for at, message in enumerate(self.messages):
            if message.role == "assistant":
                request = ChatRequest("m", self.messages[:at], tools=self.tools, metadata=metadata)
                answer = AnswerMessage(message.content, message.tool_calls)
                ending = self.endings.get(at, "tool_calls" if message.tool_calls else "stop")
                identity = f"{conversation}.{len(made)}"
                one = Trace(identity, float(len(made)), conversation, request, "completed", TAUGHT, answer=answer)
                made.append(_with_ending(one, ending))
        return made


def _with_ending(trace: Trace, ending: str) -> Trace:
    state = "aborted" if ending == "aborted" else "completed"
    return msgspec.structs.replace(trace, state=state, finish_reason=None if ending == "aborted" else ending)


def new_scene(root: Path, chance: random.Random) -> Scene:
    wanted, other = chance.sample(definitions(root), 2)
    return Scene(root, wanted, other, ours=chance.random() < 0.5)


def good(root: Path, chance: random.Random) -> Scene:
    """A conversation that has nothing wrong with it, in one of several ways."""
    scene = new_scene(root, chance)
    return chance.choice(_GOOD)(scene)


def _searched(scene: Scene) -> Scene:
    return scene.ask().search().say()


def _searched_and_read(scene: Scene) -> Scene:
    wanted = scene.wanted
    scene.ask().search().read()
    return scene.say(f"**{wanted.name}**, e.g. at `{wanted.path}:{wanted.line}`, reads/writes nothing.")


def _absent(scene: Scene) -> Scene:
    scene.ask("Is there a function frobnicate_gadget?").search("frobnicate_gadget")
    return scene.say("No: there is no function frobnicate_gadget.")


def _two_questions(scene: Scene) -> Scene:
    scene.ask().search().say().ask(f"And where is {scene.other.name}?").search(scene.other.pattern)
    return scene.say(f"`{scene.other.name}` is defined in {scene.other.path}:{scene.other.line}.")


def _from_plain_words(scene: Scene) -> Scene:
    """The name is made of the words of the question; the answer shows new code."""
    words = " ".join(part.lower() for part in re.findall(r"[A-Z]?[a-z]+", scene.wanted.name))
    scene.ask(f"What does the code have to {words}?").search(scene.wanted.pattern)
    code = f"```python\nfrom x import {scene.wanted.name}\nmy_new_helper({scene.wanted.name})\n```"
    return scene.say(f"It has `{scene.wanted.name}`. Use it so:\n\n{code}\n\nIf the input does not exist, it fails.")


def _listed(scene: Scene) -> Scene:
    """A path that is put together from a folder and its listing."""
    folder, _, name = scene.wanted.path.rpartition("/")
    scene.ask(f"What is in the folder {folder}?")
    if scene.ours:
        scene.call("list_files", {"path": folder})
    else:
        scene.shell(f"ls {folder}")
    return scene.say(f"Among others there is {folder}/{name}.")


def _read_on(scene: Scene) -> Scene:
    scene.ask(f"How does {scene.wanted.path} go on?").read(start=1).read(start=5).read(start=9)
    shown = scene.messages[-1].text.splitlines()[0].split(":", 1)[-1].split("→")[-1].strip()
    return scene.say(f"Line 9 is: `{shown}`" if shown else "Line 9 is empty.")


def _missing_file(scene: Scene) -> Scene:
    scene.ours = True
    return scene.ask("How long is docs/guide.md?").read("docs/guide.md", 1).say("There is no file docs/guide.md.")


_GOOD = [_searched, _searched_and_read, _absent, _two_questions, _from_plain_words, _listed, _read_on, _missing_file]
