"""Which lines only read, what of their output is sure, and that they are run as they were understood."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distill.lines import plain_settings, reading_line
from distill.lines.words import parse

FOLDER = "/home/user/shop"
CERTAIN = [
    "sed -n '1,40p' x.py",
    "sed -n -e '/def foo/,/return/p' -e '$p' x.py",
    "sed 's/a/b/g; s|x|y|2' x.py",
    "find . -name '*.py' | xargs grep -n foo",
    "find . -type f -print0 | xargs -0 -n 10 wc -l",
    "cat a.py && ls src",
    "wc -l src/*.py",
    "cd /home/user/shop/src && cat a.py",
    "cat /home/user/shop/a.py",
    'rg -n "a$|^b" . 2>/dev/null | wc -l',
    "rg -n --sort path foo | head -3",
    "rg --files -g '*.py' src",
    r"find . \( -name a -o -name b \) -not -path './.git/*'",
    "find . ! -name x",
    "echo '---' ; ls",
    "head -n 5 a 2>&1 | tail -2",
    "git grep -n foo -- src",
    "git ls-files src | sort",
    "grep -rn 'x' --include='*.py' . || true",
    "cut -d: -f1,2 a | tr 'a-z' 'A-Z' | nl -ba",
    "ls | xargs -I{} cat {}",
    "cat 'a|b' \"a;b\" a\\ b",
]
UNCERTAIN = [
    'rg -n "def foo" src | head -20',
    "find . | sort | head",
    "grep -rn foo . | sort | uniq -c",
    "ls -t | head -1",
    "cat *.py | head -5",
    "rg foo | sed -n 1,5p",
    "rg foo | tr '\\n' ' '",
    "git log --oneline -5",
    "git status --short",
    "git show HEAD~1:src/a.py",
    "git diff main..x/y -- src",
    "git --no-pager blame -L 1,5 a.py",
    "cd src && git log -3 --format='%h %s'",
]
FLEETING = ["ls -la", "ls -lh src && cat a", "stat a.py", "du -sh .", "pwd", "which python"]
ELSE = [
    *("", " ", "|", "ls |", "| ls", "ls &&", "&& ls", "ls ;; ls", "ls & ls", "ls &", "ls |& cat", "ls\nid", "ls \t x"),
    *("cat ../x", "cat src/../../x", "cat /etc/passwd", "cat /home/user/shop2/x", "cat /home/user/shop/../x", "cd .."),
    *("cat ~/x", "cat ~", "ls > x", "ls >> x", "ls >x 2>&1", "cat < x", "cat <<E", "cat <(ls)", "ls 2>x", "ls 3>&1"),
    *(
        "a=1 ls",
        "echo $HOME",
        'echo "$HOME"',
        'cat "$(id)"',
        "ls `id`",
        'ls "`id`"',
        "ls $(id)",
        "ls ${x}",
        'ls "${x}"',
    ),
    *(
        "(ls)",
        "{ ls; }",
        "! ls",
        "if ls; then ls; fi",
        "for x in a; do ls; done",
        "ls # x",
        "[ -f x ]",
        "eval ls",
        "sh x",
    ),
    *(
        "find . -exec rm {} +",
        "find . -delete",
        "find . -fprint x",
        "find . -ok rm {} ;",
        "find . -ls",
        "find -L . -name x",
    ),
    *(
        "sort -o x y",
        "sort --output=x y",
        "sort --compress-program=sh y",
        "sort -T x y",
        "uniq a b",
        "tee x",
        "split x",
    ),
    *(
        "sed -i s/a/b/ x",
        "sed -i.bak s/a/b/ x",
        "sed s/a/b/w\\ x y",
        "sed 's/a/b/e' x",
        "sed -n '1e id' x",
        "sed 1r/etc/x x",
    ),
    *("sed -f x y", "sed -n 'w x' y", "sed '1!G;h;$!d' x", "sed --in-place s/a/b/ x", "sed -s -n 1p x", "sed"),
    *("rg --pre sh x", "rg --pre=sh x", "rg -z x", "rg -f x", "rg --hostname-bin sh x", "rg --search-zip x", "rg -L x"),
    *("grep -f x y", "grep --file=x y", "grep --inc=x y", "grep -R x .", "grep", "cat -", "tail -f x", "head -n x y"),
    *(
        "git -c a=b log",
        "git -C .. log",
        "git --git-dir=x log",
        "git grep -Oless x",
        "git log --output=x",
        "git commit",
    ),
    *(
        "git log --ext-diff",
        "git diff --textconv",
        "git diff --no-index a b",
        "git -p log",
        "git branch x",
        "git show ../x",
    ),
    *(
        "git",
        "git status --config-env=x=y",
        "git grep --open-files-in-pager=sh x",
        "git config a b",
        "git --paginate log",
    ),
    *(
        "xargs sh",
        "ls | xargs rm",
        "ls | xargs",
        "ls | xargs -P 4 cat",
        "ls | xargs -I{} sh -c {}",
        "ls | xargs -a x cat",
    ),
    *(
        "ls | xargs find",
        "ls | xargs git log",
        "ls | xargs -n x cat",
        "ls | sh",
        "awk 1 x",
        "python x",
        "perl x",
        "env",
        "tree",
    ),
    *(
        "echo -e a",
        "echo 'a\\n'",
        "cat **/*.py",
        "ls [!a]*",
        "ls a{b,c}",
        "c?t x",
        "'c'at x",
        "./cat x",
        "/bin/cat x",
        "\\cat x",
    ),
    *(
        "cat 'a",
        'cat "a',
        "cat a\\",
        "cd a b",
        "cd",
        "cd a | ls",
        "cd *",
        "ls \u00a0x",
        "ls \ud800",
        "cat \0",
        "cat " + "a" * 2000,
    ),
    *(
        "cat " + "a " * 60,
        "date -s x",
        "file -C -m x",
        "history",
        "command ls",
        "exec ls",
        "time ls",
        "sudo ls",
        "nl -z x",
    ),
]


@pytest.mark.parametrize("line", CERTAIN)
def test_lines_whose_output_is_the_files_alone(line: str) -> None:
    known = reading_line(line, FOLDER)
    assert known is not None
    assert (known.steady, known.certain) == (True, True)


@pytest.mark.parametrize("line", UNCERTAIN)
def test_lines_whose_other_output_proves_nothing(line: str) -> None:
    known = reading_line(line, FOLDER)
    assert known is not None
    assert (known.steady, known.certain) == (True, False)


@pytest.mark.parametrize("line", FLEETING)
def test_lines_that_are_never_twice_the_same(line: str) -> None:
    known = reading_line(line, FOLDER)
    assert known is not None
    assert not known.steady


@pytest.mark.parametrize("line", ELSE, ids=range(len(ELSE)))
def test_lines_that_may_do_else(line: str) -> None:
    assert reading_line(line, FOLDER) is None


def test_what_is_told_of_a_line() -> None:
    line = reading_line(" git ls-files 2>&1 | grep x 2> /dev/null;  rg y 2>/dev/null ", FOLDER)
    assert line is not None
    assert line.text == "git ls-files | grep x ; rg y"
    assert (line.git, line.ignoring) == (True, True)
    other = reading_line("cat x", "")
    assert other is not None
    assert (other.git, other.ignoring) == (False, False)
    assert reading_line("cat /home/user/shop/x", "") is None


_PIECES = [
    "a",
    "b c",
    "'x y'",
    '"x y"',
    "'|'",
    '"|"',
    "\\;",
    "\\(",
    "'a'\"b\"c",
    '"$ |"',
    '"a\\"b"',
    '"\\\\"',
    "'\"'",
    "%,:@+=",
]


@given(st.lists(st.sampled_from(_PIECES), min_size=1, max_size=6), st.sampled_from([" ", "  "]))
def test_words_are_what_a_shell_makes_of_them(pieces: list[str], between: str) -> None:
    line = between.join(["printf", "'%s\\n'", *pieces])
    parsed = parse(line)
    assert parsed is not None
    ((stage,),) = parsed.pipelines
    shell = subprocess.run(["/bin/sh", "-c", line], capture_output=True, text=True, check=True)
    assert [word.text for word in stage[2:]] == shell.stdout.splitlines()
    again = parse(parsed.text)
    assert again is not None
    assert again.pipelines == parsed.pipelines


@given(st.text(st.sampled_from(" abc/.|&;<>$`'\"\\*?[]{}()~#!=2>1-\n"), max_size=30))
def test_whatever_the_line_says_it_is_judged(text: str) -> None:
    known = reading_line(f"cat {text}", FOLDER)
    if known is not None:
        assert reading_line(known.text, FOLDER) == known


SETTINGS = [
    ('[core]\n\trepositoryformatversion = 0\n\tbare = false\n[remote "o"]\n\turl = https://example.org/x\n', True),
    ('[branch "a/b"]\n\tremote = o\n\tmerge = refs/heads/a\n# x\n\n[user]\n\tname = A B\n', True),
    ("[core]\n\tfsmonitor = sh\n", False),
    ("[core]\n\tpager = sh\n", False),
    ("[core] pager = sh\n", False),
    ("[CORE]\n\tpager = sh\n", False),
    ("[core]\n\tbare = false \\\n\tpager = sh\n", False),
    ("[diff]\n\texternal = sh\n", False),
    ('[diff "x"]\n\ttextconv = sh\n', False),
    ('[filter "x"]\n\tclean = sh\n', False),
    ("[include]\n\tpath = x\n", False),
    ('[includeIf "gitdir:/"]\n\tpath = x\n', False),
    ("[alias]\n\tlog = !sh\n", False),
    ("bare = false\n", False),
    ('[remote "o"]\n\tuploadpack = sh\n', False),
    ("[extensions]\n\tworktreeConfig = true\n", False),
    ("[core]\n\tbare\n", False),
    ("\ufeff[core]\n", False),
    ("# " + "x" * 70_000, False),
]


@pytest.mark.parametrize(("text", "plain"), SETTINGS, ids=range(len(SETTINGS)))
def test_settings_of_a_repository(text: str, plain: bool, tmp_path: Path) -> None:
    assert not plain_settings(tmp_path)
    (tmp_path / ".git").mkdir()
    assert not plain_settings(tmp_path)
    (tmp_path / ".git" / "config").write_text(text, encoding="utf-8")
    assert plain_settings(tmp_path) == plain
    (tmp_path / ".git" / "commondir").write_text("/elsewhere")
    assert not plain_settings(tmp_path)


def test_a_repository_that_is_elsewhere_has_no_plain_settings(tmp_path: Path) -> None:
    for name in ("one", "two", "three"):
        (tmp_path / name).mkdir()
    (tmp_path / "one" / ".git").mkdir()
    (tmp_path / "one" / ".git" / "config").write_text("[core]\n\tbare = false\n")
    (tmp_path / "two" / ".git").symlink_to(tmp_path / "one" / ".git")
    (tmp_path / "three" / ".git").write_text(f"gitdir: {tmp_path}/one/.git\n")
    assert [plain_settings(tmp_path / name) for name in ("one", "two", "three")] == [True, False, False]
