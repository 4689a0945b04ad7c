"""Options of the programs that only read, beyond those of the exploring agent.

Owns the lists. An option that writes, runs another program or follows links is on none of them.
"""

from __future__ import annotations

import re

from distill.commands import FIND_PLAIN, FIND_VALUED, GRAMMARS, Grammar

_OWN = GRAMMARS["grep"]
GREP = Grammar(
    flags=_OWN.flags + "P",
    valued=_OWN.valued,
    long=_OWN.long | {"perl-regexp"},
    long_valued=_OWN.long_valued | {"color"},
    free=_OWN.free | {"color"},
    counts=True,
    pattern=True,
)
RIPGREP = Grammar(
    flags="nNisSwxlcFvoHIuaUP",
    valued="egtTABCmM",
    long=frozenset(
        [
            *("files", "files-with-matches", "files-without-match", "count", "count-matches", "heading", "no-heading"),
            *("line-number", "no-line-number", "ignore-case", "smart-case", "case-sensitive", "hidden", "no-ignore"),
            *("no-ignore-vcs", "fixed-strings", "word-regexp", "line-regexp", "only-matching", "with-filename"),
            *("no-filename", "invert-match", "multiline", "multiline-dotall", "pcre2", "no-messages", "vimgrep"),
            *("column", "text", "trim"),
        ]
    ),
    long_valued=frozenset(
        [
            *("regexp", "glob", "iglob", "type", "type-not", "after-context", "before-context", "context"),
            *("max-count", "max-depth", "max-columns", "color", "sort"),
        ]
    ),
    free=frozenset({*"egtT", "regexp", "glob", "iglob", "type", "type-not", "color", "sort"}),
    pattern=True,
)
PLAIN = {
    "cat": GRAMMARS["cat"],
    "head": GRAMMARS["head"],
    "tail": GRAMMARS["tail"],
    "wc": GRAMMARS["wc"],
    "ls": GRAMMARS["ls"],
    "sort": Grammar(
        flags="bdfghinruVs",
        valued="kt",
        long=frozenset({"unique", "reverse", "numeric-sort"}),
        long_valued=frozenset({"key"}),
        free=frozenset({"k", "t", "key"}),
    ),
    "uniq": Grammar(flags="cdiu", valued="fsw", long=frozenset({"count"})),
    "cut": Grammar(
        flags="s",
        valued="dfcb",
        long=frozenset({"complement", "only-delimited"}),
        long_valued=frozenset({"delimiter", "fields", "output-delimiter"}),
        free=frozenset({*"dfcb", "delimiter", "fields", "output-delimiter"}),
    ),
    "tr": Grammar(flags="cdsC"),
    "nl": Grammar(flags="", valued="bvwsi", free=frozenset({"b", "s"})),
    "grep": GREP,
    "rg": RIPGREP,
    "sed": Grammar(
        flags="nEr",
        valued="e",
        long=frozenset({"quiet", "silent", "regexp-extended"}),
        long_valued=frozenset({"expression"}),
        free=frozenset({"e", "expression"}),
        pattern=True,
    ),
    "true": Grammar(flags=""),
}
FLEETING = frozenset({"stat", "du", "pwd", "which"})  # read only, and tell of the machine
LONG_LISTING = frozenset("lhS")  # options of ls that tell times and sizes, or go by them
PATTERNS = frozenset({"e", "regexp", "expression"})  # options that give what is else the first operand
FIND = FIND_PLAIN | FIND_VALUED.keys() | {"-print0", "-prune"}
XARGS_PROGRAMS = frozenset({"grep", "rg", "cat", "head", "tail", "wc", "ls", "sed"})
XARGS = Grammar(flags="0r", valued="nI", long=frozenset({"null", "no-run-if-empty"}), free=frozenset({"I"}))

# Nothing in these runs a program (`e`), names a file (`r`, `w`), or is more than one command at a time.
_PLACE = r"(?:\d{1,7}|\$|/(?:[^/\\\n]|\\.)*/)"
_CHANGE = r"s(?:/(?:[^/\\\n]|\\.)*/(?:[^/\\\n]|\\.)*/|\|(?:[^|\\\n]|\\.)*\|(?:[^|\\\n]|\\.)*\|)[gpI\d]{0,4}"
_STEP = rf"(?:{_PLACE}(?:,\+?{_PLACE})?)? ?!?(?:[pdq=]|{_CHANGE})"
SED_SCRIPT = re.compile(rf"{_STEP}(?: ?; ?{_STEP}){{0,9}} ?;?")

# Git's options are too many to list with what each takes: a flag is one of these, alone or with "=" and a value.
GIT_COMMANDS = frozenset(["log", "show", "diff", "status", "grep", "ls-files", "ls-tree", "blame", "rev-parse"])
GIT_FLAGS = frozenset(
    [
        *("-p", "-s", "-b", "-i", "-n", "-l", "-c", "-E", "-F", "-w", "-r", "-z", "-L", "-S", "-G", "-e", "-U", "-M"),
        *("--", "--oneline", "--stat", "--numstat", "--shortstat", "--name-only", "--name-status", "--no-color"),
        *(
            "--color",
            "--format",
            "--pretty",
            "--since",
            "--until",
            "--after",
            "--before",
            "--author",
            "--grep",
            "--all",
        ),
        *("--graph", "--decorate", "--no-decorate", "--no-merges", "--merges", "--reverse", "--patch", "--no-patch"),
        *("--cached", "--staged", "--short", "--porcelain", "--branch", "--follow", "--first-parent", "--max-count"),
        *("--untracked-files", "--others", "--modified", "--deleted", "--exclude-standard", "--abbrev-ref"),
        *("--show-toplevel", "--line-number", "--ignore-case", "--files-with-matches", "--count", "--unified"),
        *("--word-diff", "--abbrev-commit", "--date", "--diff-filter", "--full-name", "--ignore-all-space"),
    ]
)
GIT_NUMBER = re.compile(r"-\d{1,6}|-[nULM]\d{1,6}(?:,\d{1,6})?")
GIT_SURE = frozenset({"grep", "ls-files"})  # the others tell of branches, remotes, shortened names of commits
