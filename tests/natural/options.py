"""What a natural day may be told: words of the form NAME=value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.natural.repositories import PACKAGES

EXPLORER, EDITOR = "openai-agents", "aider"  # the agents' names, and those of their keys


class OptionError(ValueError):
    """A word that is not understood, or one that is missing."""


@dataclass(frozen=True)
class Options:
    """`out` is the day's folder: the gateway's home, the repositories, and what is written about them.

    The teacher is a `teacher_url`, a `teacher_model` (a model folder for the gateway's own engine), or a
    `teacher_gguf` in a `llama_server`. `count` conversations of each of the `agents` are begun, none after `minutes`.
    Of each answer the teacher gives `samples` more, `asks` altogether at most. `store` is the folder of an earlier day:
    then only the filters are run, on what it recorded. With a `teacher_model` the tokens that it served are compared
    with those to be learnt.
    """

    out: Path
    teacher_url: str = ""
    teacher_model: str = ""
    llama_server: Path | None = None
    teacher_gguf: Path | None = None
    count: int = 120
    minutes: float = 30.0
    samples: int = 3
    asks: int = 2000
    agents: tuple[str, ...] = (EXPLORER, EDITOR)
    packages: tuple[str, ...] = PACKAGES
    store: Path | None = None
    seed: int = 7


def read(words: Sequence[str]) -> Options:
    """Raises OptionError naming the word that is wrong or missing. A value left empty counts as not given."""
    names = {name.upper(): name for name in Options.__dataclass_fields__}
    found: dict[str, str] = {}
    for word in words:
        name, mark, value = word.partition("=")
        if not mark or name.upper() not in names:
            raise OptionError(f"{word!r} is not understood; there are {', '.join(f'{known}=' for known in names)}")
        if value:
            found[names[name.upper()]] = value
    if "out" not in found:
        raise OptionError("OUT= names the folder to write to")
    try:
        options = _converted(found)
    except ValueError as error:
        raise OptionError(f"not a number: {error}") from error
    if unknown := {*options.agents} - {EXPLORER, EDITOR}:
        raise OptionError(f"there is no agent {sorted(unknown)[0]!r}; there are {EXPLORER},{EDITOR}")
    teachers = (options.teacher_url, options.teacher_model, options.llama_server and options.teacher_gguf)
    if not (options.store or any(teachers)):
        raise OptionError("a teacher is wanted: TEACHER_URL=, TEACHER_MODEL=, or LLAMA_SERVER= and TEACHER_GGUF=")
    return options


def _converted(found: dict[str, str]) -> Options:
    default = Options(Path(found["out"]))
    return Options(
        out=Path(found["out"]).resolve(),
        teacher_url=found.get("teacher_url", ""),
        teacher_model=found.get("teacher_model", ""),
        llama_server=Path(found["llama_server"]) if "llama_server" in found else None,
        teacher_gguf=Path(found["teacher_gguf"]) if "teacher_gguf" in found else None,
        count=int(found.get("count", default.count)),
        minutes=float(found.get("minutes", default.minutes)),
        samples=int(found.get("samples", default.samples)),
        asks=int(found.get("asks", default.asks)),
        agents=tuple(found["agents"].split(",")) if "agents" in found else default.agents,
        packages=tuple(found["packages"].split(",")) if "packages" in found else default.packages,
        store=Path(found["store"]).resolve() if "store" in found else None,
        seed=int(found.get("seed", default.seed)),
    )
