"""Secrets that only what stands around them gives away: credentials in addresses and headers, numbers beside the word
for them.

Owns the forms of these surroundings; names that are given a value are in `assigned`.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator

from distill.redact.likeness import begins, is_placeholder, mixed, random_like, stands_in
from distill.redact.numbers import is_phone, is_social_security
from distill.redact.span import Span

_CREDENTIALS = re.compile(r"://(?P<user>[^\s/:@\"'<>`\\]{0,128})(?::(?P<secret>[^\s/\"'<>`\\]{1,256}))?@(?=[\w\[])")
_COLONS = re.compile(r"[0-9a-fA-F]*(?::[0-9a-fA-F]*)+")  # the rest of a machine's address
_USER_OPTION = re.compile(r" -(?:u|-user) [\"']?(?P<user>[^\s:\"']{1,64}):(?P<secret>[^\s\"']{4,128})")
_HEADER = re.compile(
    r"authorization\\{0,3}[\"']?\s{0,3}[:=,]\s{0,3}\\{0,3}[\"']?"
    r"(?P<scheme>(?:bearer|basic|token|oauth|apikey|api-key|negotiate)[ ]{1,2})?"
    r"(?!AWS4-)(?P<secret>[A-Za-z0-9._~+/=-]{8,8192}+)(?![:(\[])",
    re.IGNORECASE,
)
_BEARER = re.compile(r"bearer[ ]{1,2}(?P<secret>[A-Za-z0-9._~+/=-]{16,8192}+)", re.IGNORECASE)
_BASIC = re.compile(r"(?:basic[ ]{1,2}|\"auth\": ?\")(?P<secret>[A-Za-z0-9+/]{8,1024}+={0,2})", re.IGNORECASE)
_SOCIAL = re.compile(
    r"(?:ssn|social.?security)[^\n\d]{0,40}+(?P<secret>\d{3}-\d{2}-\d{4}|\d{3} \d{2} \d{4}|\d{9})(?!\d)", re.IGNORECASE
)
_SOCIAL_BEFORE = re.compile(r"(?<!\d)(?P<secret>\d{3}-\d{2}-\d{4})[^\n\d]{0,29}\Z")
_PHONE = re.compile(
    r"(?:phone|mobile|tel|fax)(?:[ _]?(?:number|no|nr))?\.?\\{0,3}[\"']?[ ]{0,3}[:=]?[ ]{0,3}\\{0,3}[\"']?"
    r"(?P<secret>[+(]?\d[\d ().-]{5,18}\d)(?!\w)",
    re.IGNORECASE,
)


def credentials(text: str, at: int) -> Iterator[Span]:
    """The password, or a token in the user's place, of the address whose "://" stands at `at`."""
    found = _CREDENTIALS.match(text, at)
    if not found:
        return
    user, secret = found["user"], found["secret"]
    if secret is None:
        if len(user) >= 20 and random_like(user) and not stands_in(user):
            yield Span(*found.span("user"), contextual=True)
    elif len(secret) >= 4 and secret != user and not stands_in(secret) and not _COLONS.fullmatch(secret):
        yield Span(*found.span("secret"), contextual=True)


def user_option(text: str, at: int) -> Iterator[Span]:
    """The password that curl is given on its command line."""
    line = text.rfind("\n", max(0, at - 400), at) + 1
    found = _USER_OPTION.match(text, at)
    if not found or text.find("curl", line, at) < 0 or stands_in(found["secret"]):
        return
    if found["secret"] != found["user"] and not found["secret"].startswith("$"):
        yield Span(*found.span("secret"), contextual=True)


def authorization(text: str, at: int) -> Iterator[Span]:
    """What the header that stands at `at` carries."""
    found = _HEADER.match(text, at)
    if not found or stands_in(found["secret"]):
        return
    secret = found["secret"]
    told = mixed(secret) and re.search(r"\d", secret) if found["scheme"] else len(secret) >= 20 and random_like(secret)
    if told:
        yield Span(*found.span("secret"), contextual=True)


def bearer(text: str, at: int) -> Iterator[Span]:
    """The token behind the word that stands at `at`."""
    found = _BEARER.match(text, at)
    if found and random_like(found["secret"]) and not stands_in(found["secret"]):
        yield Span(*found.span("secret"), contextual=True)


def basic(text: str, at: int) -> Iterator[Span]:
    """A user and a password in base64."""
    found = _BASIC.match(text, at)
    if found and _is_user_and_password(found["secret"]) and not is_placeholder(found["secret"]):
        yield Span(*found.span("secret"), contextual=True)


def social_security(text: str, at: int) -> Iterator[Span]:
    """The number near the word that stands at `at`; without one it could be anything."""
    if not begins(text, at):
        return
    for found in (_SOCIAL.match(text, at), _SOCIAL_BEFORE.search(text, max(0, at - 40), at)):
        if found and is_social_security(found["secret"]):
            yield Span(*found.span("secret"), contextual=True)


def phone(text: str, at: int) -> Iterator[Span]:
    """A telephone number in any notation, behind the word for it that stands at `at`."""
    found = _PHONE.match(text, at)
    if not found or not is_phone(found["secret"]) or is_placeholder(found["secret"]):
        return
    if text[at] in "pP" or begins(text, at):  # a smartphone is one, a hotel is not
        yield Span(*found.span("secret"), contextual=True)


def _is_user_and_password(value: str) -> bool:
    try:
        told = base64.b64decode(value, validate=True).decode()
    except (binascii.Error, ValueError):
        return False
    return ":" in told[1:] and told.isprintable()
