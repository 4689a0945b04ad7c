"""Which read-only commands the exploring agent may run, and with which arguments. Pure apart from looking at paths.

Owns the grammar of each allowed program: every option is on a list or refused, so an option nobody thought of
(`find -delete`, `grep -f`, an abbreviated long option) cannot slip in. Knows nothing of processes; `distill.tools`
runs what is checked here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from distill.errors import ToolError

MAX_ARGUMENTS = 40
MAX_ARGUMENT_LENGTH = 1000
NUMBER = re.compile(r"[+-]?\d{1,9}")
_SHORT_COUNT = re.compile(r"-\d{1,9}")


@dataclass(frozen=True)
class Grammar:
    """Options of one program. `flags` and `long` take no value; the others take one, of which `free` ones are text
    and all the rest must be numbers."""

    flags: str
    valued: str = ""
    long: frozenset[str] = frozenset()
    long_valued: frozenset[str] = frozenset()
    free: frozenset[str] = frozenset()
    counts: bool = False  # accepts -NUMBER
    pattern: bool = False  # the first operand is a pattern unless -e gave one


@dataclass(frozen=True)
class Command:
    """A checked command: `argv` may be run in the repository as it stands. `recursive`: it goes into folders."""

    program: str
    argv: tuple[str, ...]
    recursive: bool = False
    context: bool = False
    paths: tuple[str, ...] = field(default=())

    @property
    def words(self) -> list[str]:
        """The command as it is run: grep passes over binary files and git's own on every platform alike."""
        extra = ["-I"] if self.program == "grep" else []
        if extra and self.recursive:
            extra.append("--exclude-dir=.git")
        return [self.program, *extra, *self.argv]


GRAMMARS = {
    "grep": Grammar(
        flags="rnwlcivFEhHoxLqsIGa",
        valued="eABCm",
        long=frozenset(
            [
                *("recursive", "line-number", "word-regexp", "files-with-matches", "files-without-match", "count"),
                *("ignore-case", "invert-match", "fixed-strings", "extended-regexp", "basic-regexp", "no-filename"),
                *("with-filename", "only-matching", "line-regexp", "quiet", "no-messages", "text"),
            ]
        ),
        long_valued=frozenset(
            ["regexp", "include", "exclude", "exclude-dir", "max-count", "after-context", "before-context", "context"]
        ),
        free=frozenset({"e", "regexp", "include", "exclude", "exclude-dir"}),
        counts=True,
        pattern=True,
    ),
    "ls": Grammar(flags="aA1lRhSrtFpd", long=frozenset({"all", "almost-all", "recursive"})),
    "cat": Grammar(flags="nbsETv", long=frozenset({"number"})),
    "head": Grammar(flags="qv", valued="nc", long_valued=frozenset({"lines", "bytes"}), counts=True),
    "tail": Grammar(flags="qv", valued="nc", long_valued=frozenset({"lines", "bytes"}), counts=True),
    "wc": Grammar(flags="lwcmL", long=frozenset({"lines", "words", "bytes", "chars"})),
}
PROGRAMS = (*sorted([*GRAMMARS, "find"]),)

FIND_PLAIN = frozenset({"-empty", "-not", "!", "-o", "-a", "-or", "-and", "-print", "(", ")"})
FIND_VALUED = {
    "-name": None,
    "-iname": None,
    "-path": None,
    "-ipath": None,
    "-type": re.compile(r"[fdl]"),
    "-maxdepth": re.compile(r"\d{1,4}"),
    "-mindepth": re.compile(r"\d{1,4}"),
    "-size": re.compile(r"[+-]?\d{1,9}[ckMG]?"),
}


def check(root: Path, program: str, args: list[str]) -> Command:
    """The command as it may be run in `root`. Raises ToolError with a sentence for the model."""
    if program not in PROGRAMS:
        raise ToolError(f"{program!r} is not allowed; allowed are {', '.join(PROGRAMS)}")
    if len(args) > MAX_ARGUMENTS or any(len(arg) > MAX_ARGUMENT_LENGTH for arg in args):
        raise ToolError("too many or too long arguments")
    if any(set(arg) & set("\0\n\r") for arg in args):
        raise ToolError("arguments must not hold line breaks or NUL")
    return _check_find(root, args) if program == "find" else _check_options(root, program, args)


def confine(root: Path, path: str) -> Path:
    """The real file or folder that `path` means. Raises ToolError where it is missing or outside of `root`."""
    try:
        target = (root / path).resolve()
    except (OSError, ValueError, RuntimeError) as error:
        raise ToolError(f"not a usable path: {path!r}") from error
    if not target.is_relative_to(root):
        raise ToolError(f"{path} is outside the repository")
    try:
        exists, usable = target.exists(), target.is_file() or target.is_dir()
    except OSError as error:
        raise ToolError(f"not a usable path: {path!r}") from error
    if not exists:
        raise ToolError(f"no such file: {path}")
    if not usable:
        raise ToolError(f"{path} is neither a file nor a directory")
    return target


def _check_options(root: Path, program: str, args: list[str]) -> Command:
    grammar = GRAMMARS[program]
    options, operands = split_options(program, grammar, args)
    given = {name for name, _ in options}
    for name, value in options:
        if value is not None and name not in grammar.free and not NUMBER.fullmatch(value):
            raise ToolError(f"option {name!r} of {program} wants a number")
    paths = operands
    if grammar.pattern and not given & {"e", "regexp"}:
        if not operands:
            raise ToolError("grep wants a pattern")
        paths = operands[1:]
    recursive = bool(given & {"r", "recursive"}) or (program == "ls" and "R" in given)
    _check_paths(root, program, paths, directories=recursive or program == "ls")
    if not paths and program != "ls" and not recursive:
        raise ToolError(f"{program} wants a path")
    context = bool(given & {"A", "B", "C", "NUMBER", "after-context", "before-context", "context"})
    walks = recursive and (not paths or any((root / path).is_dir() for path in paths))
    return Command(program, tuple(args), walks, context, tuple(paths))


def _check_paths(root: Path, program: str, paths: list[str], directories: bool) -> None:
    for path in paths:
        target = confine(root, path)
        if target.is_dir() and not directories:
            raise ToolError(f"{path} is a directory")
        if program in ("cat", "head", "tail") and is_binary(target):
            raise ToolError(f"{path} is a binary file")


def is_binary(path: Path) -> bool:
    """Whether a file's first 8 kB hold a NUL byte, grep's own test. A folder is not binary."""
    if not path.is_file():
        return False
    try:
        with path.open("rb") as file:
            return b"\0" in file.read(8192)
    except OSError as error:
        raise ToolError(f"{path.name} cannot be read") from error


def split_options(program: str, grammar: Grammar, args: list[str]) -> tuple[list[tuple[str, str | None]], list[str]]:
    """Options with their values, and operands, as getopt tells them apart (options may follow operands). Raises
    ToolError where an option is not in the grammar."""
    options: list[tuple[str, str | None]] = []
    operands: list[str] = []
    rest = iter(args)
    for arg in rest:
        if arg == "--":
            operands.extend(rest)
        elif arg.startswith("--"):
            options.append(_long(program, grammar, arg[2:], rest))
        elif grammar.counts and _SHORT_COUNT.fullmatch(arg):
            options.append(("NUMBER", None))
        elif arg.startswith("-") and arg != "-":
            options.extend(_short(program, grammar, arg[1:], rest))
        elif arg == "-":
            raise ToolError("standard input is not available")
        else:
            operands.append(arg)
    return options, operands


def _long(program: str, grammar: Grammar, option: str, rest: Iterator[str]) -> tuple[str, str | None]:
    name, given, value = option.partition("=")
    if not given and name in grammar.long:
        return name, None
    if name in grammar.long_valued:
        return name, value if given else _value(program, name, rest)
    raise ToolError(f"option '--{name}' of {program} is not allowed")


def _short(program: str, grammar: Grammar, letters: str, rest: Iterator[str]) -> list[tuple[str, str | None]]:
    found: list[tuple[str, str | None]] = []
    for at, letter in enumerate(letters):
        if letter in grammar.valued:
            attached = letters[at + 1 :]
            return [*found, (letter, attached or _value(program, letter, rest))]
        if letter not in grammar.flags:
            raise ToolError(f"option '-{letter}' of {program} is not allowed")
        found.append((letter, None))
    return found


def _value(program: str, name: str, rest: Iterator[str]) -> str:
    value = next(rest, None)
    if value is None:
        raise ToolError(f"option {name!r} of {program} wants a value")
    return value


def _check_find(root: Path, args: list[str]) -> Command:
    at = next((i for i, arg in enumerate(args) if arg.startswith("-") or arg in ("(", ")", "!")), len(args))
    paths, rest = args[:at], iter(args[at:])
    for token in rest:
        if token in FIND_PLAIN:
            continue
        if token not in FIND_VALUED:
            raise ToolError(f"{token!r} of find is not allowed")
        value, form = _value("find", token, rest), FIND_VALUED[token]
        if form is not None and not form.fullmatch(value):
            raise ToolError(f"find {token} does not take {value!r}")
    _check_paths(root, "find", paths, directories=True)
    # BSD's find insists on a path
    argv = tuple(args) if paths else (".", *args)
    return Command("find", argv, True, False, tuple(paths) or (".",))
