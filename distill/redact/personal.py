"""What tells who somebody is without being a number: e-mail addresses and the names of home folders.

Owns which of them are nobody's. Names of people are out of its reach.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from distill.redact.likeness import begins
from distill.redact.span import Span

_DOMAIN = re.compile(
    r"@([A-Za-z0-9][A-Za-z0-9-]{0,62}(?:\.[A-Za-z0-9-]{1,63}){0,6}\.(?P<top>[A-Za-z]{2,18}))(?![\w(=])"
)
_ESCAPE = re.compile(r"u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|[a-zA-Z]")  # what may stand behind a backslash in a string
_ENDINGS = (  # of addresses; much that has "@" in it ends otherwise
    "com org net edu gov mil int info biz name pro io ai app dev me co tv cc xyz online site tech cloud email agency "
    "systems software solutions digital company consulting academy university bank health law life live news shop "
    "store team work world london berlin paris nyc tokyo africa asia eu ac ad ae af ag al am ao ar at au az ba bd be "
    "bg bh bo br by ca cd ch ci cl cm cn cr cu cy cz de dk do dz ec ee eg es et fi fr ga ge gh gr gt hk hn hr hu id ie "
    "il in iq ir is it jm jo jp ke kg kh kr kw kz la lb li lk lt lu lv ly ma mc md mg mk ml mm mn mt mx my mz ng ni nl "
    "no np nz om pa pe ph pk pl pt qa ro rs ru sa sd se sg si sk sn so su sv sy th tn to tr tw tz ua ug uk us uy uz ve "
    "vn ye za zm zw"
)
_TOPS = frozenset(_ENDINGS.split())
_NOBODY = frozenset(["git", "noreply", "no-reply", "donotreply", "do-not-reply", "hg", "svn"])
_EXAMPLES = re.compile(r"(?:^|\.)(?:example\.(?:com|org|net|edu)|example|test|invalid|localhost)$", re.IGNORECASE)
_LOCAL = re.compile(r"[^\W_][\w.%+-]{0,63}\Z")
_HOME = re.compile(r"/(?:home|Users)/([^\W_][\w.@-]{0,63}+)")
_WINDOWS_HOME = re.compile(r"[:/](?:\\{1,4}|/)(?i:Users)(?:\\{1,4}|/)([^\W_](?:[\w.@-]|[ ](?=[\w. -]{1,40}\\)){0,63}+)")
_NO_NAMES = frozenset(
    [
        "user",
        "username",
        "shared",
        "public",
        "default",
        "all users",
        "you",
        "me",
        "yourname",
        "your-name",
        "name",
        "xxx",
    ]
)
HOME_NAME = "user"


def email(text: str, at: int) -> Iterator[Span]:
    """The e-mail address whose "@" stands at `at`; one of documents, of a program, or of a machine's user is none."""
    domain = _DOMAIN.match(text, at)
    if not domain or domain["top"].lower() not in _TOPS or _EXAMPLES.search(domain[1]):
        return
    local = _LOCAL.search(text[max(0, at - 64) : at])
    if not local:
        return
    start = at - len(local[0])
    if text[start - 1 : start] == "\\" and (escape := _ESCAPE.match(text, start, at)):
        start = escape.end()
    if start < at and text[start:at].lower() not in _NOBODY and not _in_address(text, start):
        yield Span(start, domain.end(1))


def home(text: str, at: int) -> Iterator[Span]:
    """The name of whose home folder it is that the path at `at` goes through; not in the address of a page."""
    if text[at - 1 : at] not in tuple("._-})]>*") and (begins(text, at) or _attached(text, at)):
        yield from _named(_HOME.match(text, at))


def windows_home(text: str, at: int) -> Iterator[Span]:
    """As `home`, for the path that has a backslash or a drive before the folder of all homes, which is at `at`."""
    before = text[max(0, at - 5) : at]
    divided = len(before) - len(before.rstrip("\\/"))
    if len(before) > divided:
        yield from _named(_WINDOWS_HOME.match(text, at - divided - 1))


def _named(found: re.Match[str] | None) -> Iterator[Span]:
    name = found[1].rstrip(".-") if found else ""
    if found and name.lower() not in _NO_NAMES:
        yield Span(found.start(1), found.start(1) + len(name), instead=HOME_NAME)


def _attached(text: str, at: int) -> bool:
    """Whether the letter of a drive or of an option is before the path, as in /c/Users/ and -I/home/."""
    return text[at - 2 : at - 1] in ("/", "-") and text[at - 1].isalpha()


def _in_address(text: str, start: int) -> bool:
    """Whether what is before "@" is the user of an address such as ssh://user@machine."""
    before = text[max(0, start - 160) : start]
    return before[-1:] in ("/", ":") and "://" in before and not any(map(str.isspace, before[before.rfind("://") :]))
