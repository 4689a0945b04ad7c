"""Hostile lines of a shell, for vocabularies whose tools take one: what a shell would do with them is not done."""

from __future__ import annotations

import json
import shlex

from tests.distill.sandbox.calls import Hostile

_BEHIND = (
    *("; touch <base>/new", " && touch new", " || touch new", " | sh", " | tee new", " | xargs touch", " > new"),
    *(" >> pkg/a.py", " 2> new", " &> new", " >| new", " < ../secret.txt", " <<< x", " <<E\nx\nE", " &", "\ntouch new"),
    *(" $(touch new)", " `touch new`", " <(touch new)", " >(touch new)", " ${HOME}", " $HOME/x", " ~/x", " ~root/x"),
    *(" ../*", " {pkg/a.py,../secret.txt}", " $'..\\x2fsecret.txt'", " $((1))", " | head -n 1; touch new", " |& sh"),
)
_BEFORE = (
    *(
        "PATH=. ",
        "GREP_OPTIONS=-r ",
        "LD_PRELOAD=./x.so ",
        "env ",
        "exec ",
        "command ",
        "eval ",
        "sudo ",
        "time ",
        "! ",
    ),
    *(
        "nohup ",
        "timeout 9 ",
        "xargs ",
        "sh -c ",
        "bash -c '",
        "(",
        "{ ",
        "cd ..; ",
        "cd .. && ",
        "alias x=",
        "f() ",
        ". ",
    ),
    *("if true; then ", "for x in .; do ", "while true; do ", "set -x; ", "trap '", "source ", "true; ", "touch new; "),
)
_WHOLE = (
    *(
        "touch new",
        "echo x > new",
        "cat < ../secret.txt",
        "cat <../secret.txt",
        "cat '",
        'cat "',
        "cat \\",
        "",
        " ",
        "#",
    ),
    *(
        "sed -i s/a/b/ pkg/a.py",
        "sed -n '1w new' pkg/a.py",
        "sed -n '1e touch new' pkg/a.py",
        "sed -n 1p ../secret.txt",
    ),
    *("sed -n '1,$p;w new' pkg/a.py", "sed --in-place 1p pkg/a.py", "sed -s -n 1p up/secret.txt", "sed -n 1p leak"),
    *("sed -n 99999999999p pkg/a.py", "ls -Ap ..", "ls -Ap up", "find . -exec touch new {} +", "find . -delete"),
    *(
        "while :; do :; done",
        ":(){ :|:& };:",
        "yes",
        "cat /dev/zero",
        "exit",
        "kill -9 $$",
        "cat pkg/a.py\0; touch new",
    ),
    *("bash -lc 'touch new'", "bash -c 'bash -c \"touch new\"'", "/bin/sh -c id", "python3 -c 1", "git -C .. log"),
    *(
        "cat\tpkg/a.py;touch new",
        "ca\\t ../secret.txt",
        "'cat' ../secret.txt",
        "c''at ../secret.txt",
        "cat ..''/secret.txt",
    ),
    *("cat ../secret\\.txt", "cat .\\./secret.txt", 'cat "../secret.txt"', "cat $(printf '..')/secret.txt", "cat '\n'"),
    *("cat " + "../" * 3000 + "etc/passwd", "cat " + "'" * 20_001, "(" * 20_000, "$(" * 5000, "cat " + "a " * 50_000),
)
LINES = [
    *(f"cat pkg/a.py{behind}" for behind in _BEHIND),
    *(f"{before}cat ../secret.txt" for before in _BEFORE),
    *_WHOLE,
]


def as_line(call: Hostile) -> Hostile | None:
    """A hostile command as a line of a shell that means the same words; None for what is no command."""
    try:
        given = json.loads(call.raw)
    except (ValueError, RecursionError):
        return None
    words = [given["command"], *given["args"]] if call.tool == "run_command" and _is_plain(given) else []
    return call._replace(tool="bash", raw=json.dumps({"command": shlex.join(words)})) if words else None


def as_words(call: Hostile) -> Hostile | None:
    """The same for a tool that takes the words."""
    given = json.loads(call.raw) if as_line(call) else {}
    words = [given["command"], *given["args"]] if given else []
    return call._replace(tool="shell", raw=json.dumps({"command": words})) if words else None


def _is_plain(given: object) -> bool:
    if not isinstance(given, dict) or given.keys() != {"command", "args"} or not isinstance(given["args"], list):
        return False
    return all(isinstance(word, str) for word in (given["command"], *given["args"]))
