"""Numbers that belong to somebody: payment cards, bank accounts, telephones, addresses of machines, social security.

Owns their forms and checks, and what makes a made-up one of each that the same checks refuse. Knows nothing of how
placeholders are drawn. No table of the world's numbering plans: a telephone number has to be written as one.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from functools import lru_cache

from distill.redact.likeness import begins
from distill.redact.span import Span

# six digits at least, with what divides them; not the date that each line of a log begins with
_RUN = re.compile(r"[\d(+](?<!\d\d)(?!\d{3}-\d\d-\d\d[ T\"',)\n])(?:[(). /+-]*+\d){5,}+")
_NEAR_ADDRESS = re.compile(
    r"(?:0|10|127)\.|192\.168\.|172\.(?:1[6-9]|2\d|3[01])\.|198\.1[89]\.|25\d\."
)  # told faster so
_NUMBER = re.compile(
    r"""(?P<address>\d{1,3}(?:\.\d{1,3}){3})(?![\w-]|\.\w)
    | (?P<card>\d{13,19}|\d{4}([ -])\d{4}\3\d{4}\3\d{1,7}|\d{4}([ -])\d{6}\4\d{5})(?![\w-]|\.\d)
    | (?P<phone>\+1[ .-]?\(?\d{3}\)?[ .-]{0,2}\d{3}[ .-]?\d{4}
        | \+\d{1,3}(?:[ .()/-]{0,2}\d){6,12}\d
        | (?:\+?1[ .-]?)?\(\d{3}\)[ ]?\d{3}[ .-]\d{4}
        | (?:1([ .-]))?\d{3}([.-])\d{3}\7\d{4})(?![\w-]|\.\d)""",
    re.VERBOSE,
)
_LONG_ADDRESS = re.compile(r"[23][0-9a-fA-F]{3}:[0-9a-fA-F:]{2,35}+(?!\w|\.\d)")
_ACCOUNT = re.compile(r"[A-Z][A-Z]\d\d ?[A-Z0-9]{4} ?[A-Z0-9]{3}[A-Z0-9 ]{3,27}+")
_IBANS = (
    "AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DJ27 DK18 DO28 EE20 EG29 "
    "ES24 FI18 FK18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HN28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 "
    "LB28 LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MN20 MR27 MT31 MU30 NI28 NL18 NO15 OM23 PK24 PL28 PS29 "
    "PT25 QA29 RO24 RS22 RU33 SA24 SC31 SD18 SE24 SI19 SK24 SM27 SO23 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20 YE30"
)  # how long those of each country are
_ACCOUNTS = {entry[:2]: int(entry[2:]) for entry in _IBANS.split()}
_ADDRESS = re.compile(r"[0-9a-fA-F.:]{7,45}")
_PHONE, _NO_DIGIT = re.compile(r"[+(]?[\d (). /-]+"), re.compile(r"\D")
_VERSION = re.compile(
    r"(?<![A-Za-z])(?i:version|ver|release|rev|build|v)[\"']?[\s:=.]{0,3}[\"']?$|[=<>~^!]=\s?[\"']?$|[A-Z][A-Za-z]*/$"
)
_ISSUER = re.compile(r"4|5[1-5]|2[2-7]|3[04-9]|6(?:011|4[4-9]|5|2)")
_LENGTHS = {"4": (16, 19), "3": (14, 15, 16)}
_COUNTRY = re.compile(
    r"\+(?:1|7|2(?:0|7|1[1-3689]|[2-6]\d|9[01789])|3(?:[0-469]|5\d|7\d|8[0-35-79])|4(?:[013-9]|2[013])|5(?:[1-8]|0\d|9\d)"
    r"|6(?:[0-6]|7[02-9]|8\d|9[0-2])|8(?:[1246]|00|08|5[02356]|7\d|8[06])|9(?:[0-58]|6\d|7\d|9[2-68]))|1(?=[ .(-])"
)
_FICTION = "55501"  # area 555, numbers 01..: kept for films and books
_SECURITY = re.compile(r"(?!000|666|9)\d{3}([- ]?)(?!00)\d{2}\1(?!0000)\d{4}")
# for tests of network gear: never routed, and more of them than the nets for examples have
_BENCHMARK = ("198.18.", "198.19.")


def numbers(text: str) -> Iterator[Span]:
    """Cards, telephone numbers, and addresses and accounts of all kinds that need no word beside them."""
    for run in _RUN.finditer(text):
        for found in _NUMBER.finditer(text, run.start(), run.end() + 2):
            if _free(text, found.start()) and _CHECKS[str(found.lastgroup)](text, found):
                yield Span(*found.span())
    for found in _LONG_ADDRESS.finditer(text):
        before = text[found.start() - 1 : found.start()]
        if before != ":" and _free(text, found.start()) and public_address(found[0]):
            yield Span(*found.span())
    for found in _ACCOUNT.finditer(text):
        length = account_length(found[0]) if begins(text, found.start()) else 0
        end = found.start() + length
        if length and not text[end : end + 1].isalnum():
            yield Span(found.start(), end)


def luhn(digits: str) -> bool:
    """Whether the last digit checks the others, as on payment cards."""
    doubled = [int(digit) * 2 for digit in digits[-2::-2]]
    return (sum(map(int, digits[-1::-2])) + sum(value - 9 * (value > 9) for value in doubled)) % 10 == 0


def is_card(text: str) -> bool:
    digits = re.sub(r"[ -]", "", text)
    if not (13 <= len(digits) <= 19 and digits.isdigit() and digits.isascii() and _ISSUER.match(digits)):
        return False
    return len(digits) in _LENGTHS.get(digits[0], (16, 17, 18, 19)) and len(set(digits)) > 1 and luhn(digits)


def account_length(text: str) -> int:
    """How many characters of an IBAN's beginning are one, spaces included; 0 where none are. Words that follow an
    account look as if they were of it."""
    wanted, length, bare = _ACCOUNTS.get(text[:2], 0), 0, ""
    while len(bare) < wanted and length < len(text):
        bare += text[length].strip()
        length += 1
    if not wanted or len(bare) < wanted or not (bare.isascii() and bare.isalnum()):
        return 0
    value = "".join(str(int(letter, 36)) for letter in bare[4:] + bare[:4])
    return length if int(value) % 97 == 1 and bare[2:4] != "00" else 0


@lru_cache(maxsize=4096)
def public_address(text: str) -> bool:
    """Whether a text is the address of a machine in the public network; those of documents and tests are not."""
    if not _ADDRESS.fullmatch(text) or (":" in text and text[0] not in "23"):
        return False
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    return address.is_global and not address.is_multicast and not text.startswith(_BENCHMARK)


def is_social_security(text: str) -> bool:
    return _SECURITY.fullmatch(text) is not None


def country_code(phone: str) -> str:
    """What a telephone number begins with for its country, "+" included; "" where it does not say."""
    found = _COUNTRY.match(phone)
    return found[0] if found else ""


def is_phone(text: str) -> bool:
    """Whether a text is written as a telephone number, and one that somebody can have."""
    if not _PHONE.fullmatch(text) or not 7 <= len(_NO_DIGIT.sub("", text)) <= 15:
        return False
    country = country_code(text)
    own = _NO_DIGIT.sub("", text[len(country) :])
    return bool(country or text[0] != "+") and not own.startswith(_FICTION)


def fictional(digits: str) -> str:
    """The digits after the country's code, made those of a number that nobody has."""
    return (_FICTION + digits[len(_FICTION) :])[: len(digits)]


def _free(text: str, at: int) -> bool:
    """Whether a number can begin at `at`, and is not the rest of a longer one or of a name."""
    return begins(text, at) and text[at - 1 : at] not in (".", "-")


def _is_address(text: str, found: re.Match[str]) -> bool:
    """Versions and numbers of sections look like addresses of machines, but their parts are mostly small."""
    if _NEAR_ADDRESS.match(found[0]):
        return False
    parts = found[0].split(".")
    if sum(len(part) > 1 for part in parts) < 2 or not public_address(found[0]):
        return False
    return _VERSION.search(text[max(0, found.start() - 16) : found.start()]) is None


def _is_card(_: str, found: re.Match[str]) -> bool:
    return is_card(found[0])


def _is_phone(_: str, found: re.Match[str]) -> bool:
    """North American numbers have a plan that is easy to check; of the others "+" and the length must do."""
    if not is_phone(found[0]):
        return False
    digits = _NO_DIGIT.sub("", found[0])
    if found[0].startswith("+") and not digits.startswith("1"):
        return len(digits) >= 9
    area = digits[-10:]
    return len(digits) - len(area) <= 1 and area[0] > "1" and area[3] > "1"


_CHECKS = {"address": _is_address, "card": _is_card, "phone": _is_phone}
