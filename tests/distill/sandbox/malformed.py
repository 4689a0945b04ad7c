"""Hostile calls by class: shell characters, patterns, sizes, encodings, JSON, names. Programs are in `hostile`."""

from __future__ import annotations

import json

from tests.distill.sandbox.calls import Hostile, maybe, no, no_file, no_folder, shows

_NOTHING = "(no output)"

SHELL = [
    *(no("cat", f"pkg/a.py{more}") for more in ("; touch <base>/new", " && touch new", " | sh", " > <base>/new", "&")),
    *(no("cat", word) for word in ("$(touch <base>/new)", "`touch <base>/new`", "${HOME}", "$HOME", "~root", "*.py")),
    *(no("cat", word) for word in ("<(id)", "{pkg/a.py,../secret.txt}", "pkg/[a].py", "pkg/?.py", "'pkg/a.py'", '"x"')),
    *(no("cat", "pkg/a.py", *more) for more in ([";", "id"], ["|", "sh"], [">", "new"], ["&&", "id"], ["<<E"])),
    *(no("wc", "-l", word) for word in ("$(id)", "pkg/a.py;id", "!!", "!$", "\\", "#")),
    shows(_NOTHING, "grep", "'; touch <base>/new; '", "pkg/a.py"),
    shows(_NOTHING, "grep", "$(touch <base>/new)", "pkg/a.py"),
    shows(_NOTHING, "grep", "-F", "`touch <base>/new`", "pkg/a.py"),
    shows(_NOTHING, "grep", "-rn", '"; touch new; "', "pkg"),
    shows(_NOTHING, "grep", "-e", "x' 'y", "pkg/a.py"),
    shows(_NOTHING, "find", "pkg", "-name", "$(touch <base>/new)"),
    shows(_NOTHING, "find", "pkg", "-name", "'; touch new; '"),
    no("find", ".", "-maxdepth", "1; touch new"),
    no("grep", "-A", "1; touch new", "Base", "pkg/a.py"),
]
PATTERNS = [
    maybe("grep", "-E", "(a+)+$", "slow.txt"),
    maybe("grep", "-E", "(a|a)*c$", "slow.txt"),
    maybe("grep", "-E", "((a*)*)*b", "slow.txt"),
    maybe("grep", "-E", r"^(a*)(a*)(a*)\1\2\3d", "slow.txt"),
    maybe("grep", "-E", r"(a*)*\1\1d", "slow.txt"),
    maybe("grep", r"^\(a*\)\(a*\)\(a*\)\1\2\3d", "slow.txt"),
    maybe("grep", r"x\{1,65535\}", "slow.txt"),
    maybe("grep", "-E", "x{32767}", "slow.txt"),
    maybe("grep", "-E", "((x{1,255}){1,255}){1,255}", "slow.txt"),
    maybe("grep", "-E", "(" * 400 + "x" + ")" * 400, "slow.txt"),
    maybe("grep", "-E", "|".join(["a.*b.*c"] * 120), "slow.txt"),
    maybe("grep", "-Ei", "[[:alpha:]]*" * 60 + "1", "slow.txt"),
    maybe("grep", "-w", ".*a.*a.*a.*a.*a.*d", "slow.txt"),
    maybe("grep", "-o", "", "slow.txt"),
    no("grep", "-E", "(", "slow.txt"),
    no("grep", "[", "slow.txt"),
    no("grep", r"\(", "slow.txt"),
    no("grep", "-P", "(a+)+$", "slow.txt"),
    maybe("find", ".", "-name", "*n" * 200 + "x"),
    maybe("find", ".", "-path", "*d*e*e*p" * 60),
]
SIZES = [
    no("cat", "long.txt", "long.txt"),
    no("cat", "sparse.txt"),
    no("cat", "sparse.bin"),
    no("head", "-c", "999999999", "sparse.txt"),
    no("head", "-n", "999999999", "sparse.txt"),
    no("head", "-c", "9" * 30, "pkg/a.py"),
    no("grep", "-a", "^", "sparse.bin"),
    no("grep", "-ac", "x", "sparse.bin"),
    no("wc", "-l", "sparse.bin"),
    no("tail", "-n", "5", "sparse.txt"),
    no("tail", "-c", "999999999", "sparse.bin"),
    no_file("sparse.txt"),
    no_file("sparse.bin"),
    no("cat", *["long.txt"] * 39),
    maybe("cat", "long.txt"),
    maybe("grep", "-rn", "line", "."),
    maybe("grep", "-c", "x", "sparse.txt"),
    maybe("ls", "-R"),
    maybe("find"),
    Hostile("read_file", '{"path": "long.txt", "lines": 1000000000000000000000}', "contained"),
    Hostile("read_file", '{"path": "long.txt", "start": 10000000, "lines": 400}', "shown", _NOTHING),
    Hostile("read_file", '{"path": "slow.txt", "start": 2}', "contained"),
]
LENGTHS = [
    no("cat", *["pkg/a.py"] * 41),
    no("cat", "a" * 1001),
    no("cat", "a/" * 450),
    no("cat", "../" * 300 + "etc/passwd"),
    no("cat", "a" * 300),
    no("grep", "-e", "x" * 1001, "pkg/a.py"),
    no("find", ".", *["-name", "x", "-o"] * 20),
    maybe("find", ".", *["("] * 30),
    maybe("find", ".", *["!"] * 37, "-empty"),
    maybe("grep", *["-e", "'" * 1000] * 19, "pkg/a.py"),
    maybe("grep", *["-e", "é" * 1000] * 19, "pkg/a.py"),
    no_file("a" * 100_000),
    no_file("a/" * 100_000),
    no_file("../" * 100_000 + "etc/passwd"),
    no_folder("é" * 100_000),
    Hostile("run_command", json.dumps({"command": "x" * 1_000_000, "args": []})),
    Hostile("t" * 100_000, "{}"),
]
ENCODINGS = [
    *(no("cat", f"pkg/a.py{end}") for end in ("\0", "\0/etc/passwd", "\n", "\n/etc/passwd", "\r", "\r\nid")),
    no("grep", "Base\nclass", "pkg/a.py"),
    no("grep", "\0", "pkg/a.py"),
    no("find", ".", "-name", "x\n-delete"),
    no("find", ".\0", "-delete"),
    no("cat", "\ud800"),
    no("cat", "pkg/a.py\udcff"),
    no("cat", "pkg\u2215a.py"),
    no("cat", "pkg/\u200ba.py"),
    no("cat", "\u2024\u2024/secret.txt"),
    no("cat", "\uff0e\uff0e/secret.txt"),
    no("cat", "..%2fsecret.txt"),
    no("cat", "..\\secret.txt"),
    no("cat", "%2e%2e/secret.txt"),
    no_file("\0"),
    no_file("pkg/a.py\0.txt"),
    no_file("\udc2e\udc2e/secret.txt"),
    no_folder("\0"),
    no_folder("\ufffd"),
]
_NAMES = ("new\nline.py", "\x1b[2J\x1b]0;owned\x07.py", "--include=x", "-e", "-", "--", "$(touch new)", "\u202egpj.py")
NAMES = [
    Hostile("list_files", '{"path": "odd"}', "contained"),
    maybe("ls", "odd"),
    maybe("ls", "-la", "odd"),
    maybe("find", "odd", "-type", "f"),
    maybe("grep", "-rl", "Odd", "odd"),
    maybe("grep", "-rn", "-A1", "Odd", "odd"),
    maybe("cat", "odd/caf\u00e9.py", "odd/cafe\u0301.py"),
    *(maybe("cat", "--", f"odd/{name}") for name in _NAMES),
    *(Hostile("read_file", json.dumps({"path": f"odd/{name}"}), "contained") for name in _NAMES),
    no("cat", "odd/\ufffd\ufffd.py"),
    no("cat", "odd/*.py"),
    no_file("odd/to-bytes/x"),
    Hostile("read_file", '{"path": "odd/to-bytes"}', "contained"),
    Hostile("read_file", json.dumps({"path": "deep/" * 60 + "end.py"}), "shown", "1: class End:\n2:     pass"),
    shows("deep/" * 60 + "end.py", "find", ".", "-name", "end.py"),
]
PLANTED = [
    shows("class Other(Base):", "grep", "class", "pkg/a.py"),
    shows("pkg/b.py:1:class Base:\npkg/b.py:5:class Child(Base):", "grep", "pkg", "--exclude=a.py", "-rne", "^class"),
    shows("pkg/a.py\npkg/b.py\npkg/sub/c.py", "find", "pkg", "-name", "*.py"),
    shows("a.py\nb.py\nchain-three\nsub", "ls", "pkg"),
    shows("from pkg.b import Base", "head", "-1", "pkg/a.py"),
    shows("    pass", "tail", "-n", "1", "pkg/a.py"),
    shows("5 pkg/a.py", "wc", "-l", "pkg/a.py"),
    shows("text = 'a[0] (b'", "cat", "pkg/sub/c.py"),
    shows("Base\nclass", "cat", "hard"),  # a second name of a file is a file of the repository
]
_SAYS = '"path": "pkg/a.py"'
JSON = [
    *(Hostile("run_command", raw) for raw in ("{", "", "[]", "null", "0", '""', "\0", "{}{}", "{'command': 'cat'}")),
    *(Hostile("read_file", raw) for raw in ("", "{}", "[]", "null", "true", '"pkg/a.py"', '["pkg/a.py"]', "\ufeff{}")),
    *(Hostile("list_files", raw) for raw in ("[]", "null", '{"path": null}', '{"path": []}', '{"path": 1}', "\ud800")),
    Hostile("run_command", '{"command": "cat", "args": "pkg/a.py"}'),
    Hostile("run_command", '{"command": "cat", "args": [["pkg/a.py"]]}'),
    Hostile("run_command", '{"command": "cat", "args": [1]}'),
    Hostile("run_command", '{"command": "cat", "args": {"0": "pkg/a.py"}}'),
    Hostile("run_command", '{"command": ["cat"], "args": []}'),
    Hostile("run_command", '{"command": "cat", "args": ["pkg/a.py"], "cwd": "/"}'),
    Hostile("run_command", '{"command": "cat", "args": ["pkg/a.py"], "env": {"LD_PRELOAD": "x"}}'),
    Hostile("run_command", '{"command": "cat", "args": ["pkg/a.py"], "__proto__": {}}'),
    Hostile("run_command", '{"command": "cat", "command": "rm", "args": ["pkg/a.py"]}'),
    Hostile("run_command", '{"command": "cat", "args": ["pkg/a.py"], "args": ["../secret.txt"]}'),
    Hostile("run_command", '{"command": "cat", "args": ["pkg/a.py"]} {"command": "rm"}'),
    Hostile("run_command", '{"command": ' + "[" * 100_000 + "]" * 100_000 + "}"),
    Hostile("run_command", '{"command": ' + '{"a": ' * 100_000 + "1" + "}" * 100_001),
    Hostile("read_file", '{"path": "pkg/a.py", "path": "../secret.txt"}'),
    *(
        Hostile("read_file", f'{{{_SAYS}, "start": {value}}}')
        for value in ("0", "-1", "1e99", "1.5", '"1"', "9" * 5000)
    ),
    *(
        Hostile("read_file", f'{{{_SAYS}, "lines": {value}}}')
        for value in ("0", "-5", "true", "NaN", "Infinity", "null")
    ),
    Hostile("read_file", '{"path": "\\ud800"}'),
    Hostile("read_file", '{"path": "pkg/a.py\\u0000"}'),
    Hostile("write_file", '{"path": "pkg/a.py", "content": ""}'),
    Hostile("run_command ", '{"command": "cat", "args": ["pkg/a.py"]}'),
    Hostile("Read_File", f"{{{_SAYS}}}"),
    Hostile("_run", "{}"),
    Hostile("__class__", "{}"),
    Hostile("", "{}"),
    Hostile("\ud800", "{}"),
]
CLASSES = {
    "shell characters": SHELL,
    "patterns": PATTERNS,
    "sizes": SIZES,
    "argument lengths": LENGTHS,
    "encodings": ENCODINGS,
    "odd names": NAMES,
    "planted programs": PLANTED,
    "JSON": JSON,
}
