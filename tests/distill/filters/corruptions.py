"""Conversations spoilt in one way each. A kind says by which reasons it should be found, and which places of the
conversation must not be learnt; what else may follow from it is no false alarm."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from router.chat import Message
from tests.distill.filters.scenes import Scene, definitions, new_scene

SECRET = "ghp_"  # the shape that `finds_secret` of the seeded set knows


@dataclass(frozen=True)
class Spoilt:
    """`bad` are the places that must not be learnt."""

    scene: Scene
    bad: list[int]


Spoil = Callable[[Scene, random.Random], list[int]]


def wrong_tool(scene: Scene, chance: random.Random) -> list[int]:
    tool = chance.choice(["search_code", "open", "ReadFile"])
    scene.call(tool, {"query": scene.wanted.name}, _refusal(scene, "no such tool"))
    scene.search().say()
    return [2]


def malformed_call(scene: Scene, chance: random.Random) -> list[int]:
    tool = "read_file" if scene.ours else "Read"
    wrong = chance.choice([{}, {"path": 7, "file_path": 7}, {"file_path": None, "path": None}])
    scene.call(tool, wrong, _refusal(scene, "wrong arguments")).search().say()
    return [2]


def _refusal(scene: Scene, words: str) -> str | None:
    """What another agent's tool says; ours says it itself."""
    return None if scene.ours else f"Error: {words}"


def wrong_argument(scene: Scene, chance: random.Random) -> list[int]:
    invented = chance.choice(["frobnicate_gadget", "zap_widget"])
    if chance.random() < 0.5:
        scene.search(f"def {invented}")
    else:
        scene.read(f"vendor/{invented}.py")
    scene.search().say()
    return [2]


def ungrounded_answer(scene: Scene, chance: random.Random) -> list[int]:
    wanted = scene.wanted
    scene.search()
    wrong = [
        f"{wanted.name} is in src/{wanted.name}_main.py, line {wanted.line}.",
        f"{wanted.name} is in {wanted.path}, line {wanted.line + 137}.",
        f"{wanted.name} is in {wanted.path}, line {wanted.line}, and calls frobnicate_gadget.",
        f"{wanted.name} is in {wanted.path}, line {wanted.line}; it returns a `Gadget`.",
        f"{wanted.name} is at {wanted.path}:{wanted.line + 211}.",
    ]
    scene.say(chance.choice(wrong))
    return [len(scene.messages) - 1]


def plausible_answer(scene: Scene, chance: random.Random) -> list[int]:
    """Another place that was seen: nothing in the conversation says that it is wrong, only who knows the answer."""
    scene.search(scene.wanted.pattern.split()[0] + " ")
    places = [(other.path, other.line) for other in definitions(scene.root) if other.path != scene.wanted.path]
    path, line = chance.choice([place for place in places if f"{place[0]}:{place[1]}:" in scene.messages[-1].text])
    scene.say(f"{scene.wanted.name} is in {path}, line {line}.")
    return [len(scene.messages) - 1]


def near_miss(scene: Scene, chance: random.Random) -> list[int]:
    """A name or a line that is almost what was seen."""
    wanted = scene.wanted
    scene.search().read()
    wrong = [
        f"{wanted.name}s is in {wanted.path}, line {wanted.line}.",
        f"{wanted.name} is in {wanted.path}, line {wanted.line + chance.choice([1, 2, 5])}.",
        f"{wanted.name} is in {wanted.path.replace('.py', '.pyi')}.",
        f"{wanted.name} is in {wanted.path.rpartition('/')[2].replace('.py', '_impl.py')}.",
    ]
    scene.say(chance.choice(wrong))
    return [len(scene.messages) - 1]


def false_absence(scene: Scene, chance: random.Random) -> list[int]:
    scene.search()
    denials = ["There is no {}.", "{} does not exist.", "I could not find {}.", "{} is not defined here."]
    scene.say(chance.choice(denials).format(scene.wanted.name))
    return [len(scene.messages) - 1]


def stale_result(scene: Scene, chance: random.Random) -> list[int]:
    """The file has changed since: what the agent was shown is not there any more."""
    way = chance.choice(["read", "search", "shell"])
    if scene.ours:
        scene.read() if way == "read" else scene.search()
    else:
        scene.search()
        scene.read() if way == "read" else scene.shell(f"cat {scene.wanted.path}")
    at = len(scene.messages) - 1
    scene.messages[at] = msgspec.structs.replace(scene.messages[at], content=scene.messages[at].text + " # was")
    scene.say()
    return [len(scene.messages) - 1]


def loop(scene: Scene, chance: random.Random) -> list[int]:
    for _ in range(chance.randint(3, 6)):
        scene.search()
    scene.say()
    return [at for at, message in enumerate(scene.messages) if message.role == "assistant"]


def repeated_call(scene: Scene, chance: random.Random) -> list[int]:
    scene.search().read()
    scene.search() if chance.random() < 0.5 else scene.read()
    scene.say()
    return [6]


def truncation(scene: Scene, chance: random.Random) -> list[int]:
    scene.search().say(f"{scene.wanted.name} is in {scene.wanted.path[: chance.randint(3, 6)]}", "length")
    scene.messages[-1] = Message("assistant", f"{scene.wanted.name} is")
    return [len(scene.messages) - 1]


def aborted(scene: Scene, chance: random.Random) -> list[int]:
    scene.search().say(f"{scene.wanted.name} is in", "aborted")
    return [len(scene.messages) - 1]


def leaked_secret(scene: Scene, chance: random.Random) -> list[int]:
    secret = SECRET + "".join(chance.choice("abcdefghij0123456789") for _ in range(36))
    scene.search()
    where = chance.randrange(3)
    if where == 0:
        scene.messages[1] = Message("user", f"{scene.messages[1].text} My key is {secret}.")
    elif where == 1:
        scene.messages[-1] = msgspec.structs.replace(scene.messages[-1], content=f"{scene.messages[-1].text}\n{secret}")
    scene.say(f"{scene.wanted.name} is in {scene.wanted.path}." + (f" Use {secret}." if where == 2 else ""))
    return [at for at, message in enumerate(scene.messages) if message.role == "assistant"]


def repaired_call(scene: Scene, chance: random.Random) -> list[int]:
    """A folder is read like a file; then the file."""
    folder = scene.wanted.path.rpartition("/")[0]
    scene.search().read(folder, 1).read().say()
    return [4]


def failed_call(scene: Scene, chance: random.Random) -> list[int]:
    """Another agent's tool fails, and nothing is made of it."""
    scene.ours = False
    scene.messages.clear()
    scene.ask().search()
    failures = [
        "Error: Exit code 2\nugrep: bad flag",
        "Process exited with code 127\nOutput:\nsh: rg: command not found",
        "<tool_use_error>File has not been read yet.</tool_use_error>",
        'Traceback (most recent call last):\n  File "x.py", line 1, in <module>\nValueError: no',
        '{"is_error": true, "output": "boom"}',
    ]
    scene.call("Grep", {"pattern": scene.wanted.name, "path": "."}, chance.choice(failures)).say()
    return [4]


def unanswered_call(scene: Scene, chance: random.Random) -> list[int]:
    scene.search().read().say()
    del scene.messages[3 if chance.random() < 0.5 else 5]
    return [at for at, message in enumerate(scene.messages) if message.role == "assistant"]


def no_answer(scene: Scene, chance: random.Random) -> list[int]:
    scene.search().read()
    if chance.random() < 0.5:
        scene.say("  ")
    else:
        scene.messages.pop()
    return [at for at, message in enumerate(scene.messages) if message.role == "assistant"]


def call_in_text(scene: Scene, chance: random.Random) -> list[int]:
    written = ['<tool_call>{"name": "x"}</tool_call>', '{"name": "x", "arguments": {}}', "<function=x></function>"]
    scene.search().say(chance.choice(written))
    return [len(scene.messages) - 1]


def asked_again(scene: Scene, chance: random.Random) -> list[int]:
    scene.messages.clear()
    question = f"In which file can I read the definition of {scene.wanted.name}?"
    scene.ask(question).search().say(f"{scene.wanted.name} is there.")
    scene.ask(chance.choice([question, f"No. {question}", f"Again: {question.lower()} please"]))
    scene.read().say()
    return [2, 4]


@dataclass(frozen=True)
class Kind:
    spoil: Spoil
    reasons: frozenset[str]
    follows: frozenset[str] = frozenset()


def _kind(spoil: Spoil, *reasons: str, follows: str = "") -> Kind:
    return Kind(spoil, frozenset(reasons), frozenset(follows.split()))


KINDS = {
    "wrong tool": _kind(wrong_tool, "invalid_call", follows="tool_error"),
    "malformed call": _kind(malformed_call, "invalid_call", follows="tool_error"),
    "wrong argument": _kind(wrong_argument, "ungrounded_argument", follows="repaired tool_error"),
    "ungrounded answer": _kind(ungrounded_answer, "ungrounded", follows="wrong_answer"),
    "plausible wrong answer": _kind(plausible_answer, "wrong_answer"),
    "near miss": _kind(near_miss, "ungrounded", follows="wrong_answer"),
    "false absence": _kind(false_absence, "unproven_absence"),
    "stale result": _kind(stale_result, "stale_result"),
    "loop": _kind(loop, "loop", follows="repeated_call"),
    "repeated call": _kind(repeated_call, "repeated_call"),
    "truncation": _kind(truncation, "truncated"),
    "aborted answer": _kind(aborted, "incomplete"),
    "leaked secret": _kind(leaked_secret, "secret"),
    "repaired call": _kind(repaired_call, "repaired", follows="tool_error"),
    "failed call": _kind(failed_call, "tool_error", follows="repaired"),
    "unanswered call": _kind(unanswered_call, "unanswered_call"),
    "no answer": _kind(no_answer, "no_final_answer"),
    "call in the text": _kind(call_in_text, "call_in_text"),
    "asked again": _kind(asked_again, "asked_again"),
}


def spoilt(kind: str, root: Path, chance: random.Random) -> Spoilt:
    scene = new_scene(root, chance).ask()
    bad = KINDS[kind].spoil(scene, chance)
    return Spoilt(scene, bad)
