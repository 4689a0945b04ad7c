"""What a value is like: drawn at random, a stand-in that somebody wrote by hand, a path, one of our placeholders.

Owns these judgements, which are made of the value alone; knows nothing of where it stands.
"""

from __future__ import annotations

import re
from itertools import pairwise

from distill.redact.vendors import PREFIXES

GROUP = 5  # letters and digits that a stretch must have to carry a mark
_HEX = re.compile(r"(?=.*[0-9])(?:(?=.*[a-f])[0-9a-f]{12,}|(?=.*[A-F])[0-9A-F]{12,})", re.DOTALL)
_STRETCH = re.compile(r"[A-Za-z0-9]+")
_STAND_IN = re.compile(
    r"^2001:db8:|^198\.1[89]\.|EXAMPLE|[xX]{5}|\*{3}|\.\.\.|…|\$\{|\{\{|%\(|\$\(|<[^>]*>|\{[^}]*\}"
    r"|(?<![A-Za-z])(?i:your|example|change|changeme|replace|insert|enter|placeholder|redacted|dummy|sample|fake"
    r"|todo|foobar|hidden|masked|censored|none|null|undefined|unset)(?![A-Za-z])"
    r"|^(?i:my_?|your_?|the_?|some_?|test_?|user_?|new_?|old_?)?(?i:pass(?:word|wd|phrase)?|pwd|secret|token|key)_?\d{0,3}$"
    r"|^(?i:12345|abcdef|abc123|qwerty)[0-9a-z]{0,5}$|^(?i:foo|bar|baz|test)\d{0,4}$"
    r"|^(?i:sha|md|aes|rsa|hmac|pbkdf|argon|base|utf|ipv|oauth|http|python|gpt|u?int|float)-?\d{1,4}(?:[-_]?[a-z]{1,3})?$"
)
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_MIXED = re.compile(r"(?=[^a-z]*[a-z])[^A-Z0-9]*[A-Z0-9]|(?=[^A-Z]*[A-Z])[^0-9]*[0-9]")
_SIGN = re.compile(r"[!@#$%^&*+~?]")
_INNER_DIGITS = re.compile(r"(?<=[A-Za-z])\d+(?=[A-Za-z])")
_COMMON = (
    "ac ad ai al am an ar as at be ca ce ch cl co ct de di ea ec ed ef el em en ep er es et ex fa fi fo ge gs ha he ho "
    "ic if il im in io is it la le lf li ll lo ls ma me na nc nd ne ng no ns nt od on op or os ot ou pa pe pl po pr pt "
    "ra re rg ri rn ro rr rs rt se si ss st su ta te th ti to tr ts tt tu ty ue ul un up ur us ut va ve yp"
)  # of neighbouring letters in English and in identifiers four in five are one of these, at random one in six
_PAIRS = frozenset(_COMMON.split())


def split_prefix(value: str) -> tuple[str, str]:
    """A value as (what a vendor's tokens begin with, the rest)."""
    prefix = next((prefix for prefix in PREFIXES if value.startswith(prefix)), "")
    return prefix, value[len(prefix) :]


def main_stretch(body: str) -> tuple[int, str]:
    """Where the longest run of letters and digits begins, and the run, less what all JSON web tokens begin with."""
    found = max(_STRETCH.finditer(body), key=lambda one: len(one[0]), default=None)
    if found is None:
        return 0, ""
    shared = 3 if found[0].startswith("eyJ") else 0
    return found.start() + shared, found[0][shared:]


def is_hex(value: str) -> bool:
    return _HEX.fullmatch(value) is not None


def mark(stretch: str) -> str:
    """What the placeholder of a run of letters and digits begins with: one character again and again, of a class
    that the run has. A run drawn at random begins so once in 10 000 at 8 characters, once in 10^8 at 16, if of digits;
    if of letters too, far less often."""
    size = 8 if len(stretch) >= 16 else max(4, len(stretch) // 2)
    if stretch.isdigit():
        return "9" * size  # not a zero, with which no number in JSON may begin
    if is_hex(stretch):
        return "0" * size
    return ("x" if any(letter.islower() for letter in stretch) else "X") * size


def is_placeholder(value: str) -> bool:
    """Whether a value is one that was put in for another."""
    _, stretch = main_stretch(split_prefix(value)[1])
    return len(stretch) >= GROUP and stretch.startswith(mark(stretch))


def stands_in(value: str) -> bool:
    """Whether a value only shows where one belongs: YOUR_API_KEY, <token>, ${VAR}, or a placeholder of ours."""
    return is_placeholder(value) or len(set(value)) <= 2 or _STAND_IN.search(value) is not None


def is_uuid(value: str) -> bool:
    return _UUID.fullmatch(value) is not None


def mixed(value: str) -> bool:
    """Letters of both cases, or letters and digits."""
    return _MIXED.match(value) is not None


def random_like(value: str) -> bool:
    """Whether a value seems drawn at random, as keys are, and not put together from words, as names are."""
    if is_hex(value) or is_uuid(value):
        return True
    if not mixed(value):
        return False
    if len(_INNER_DIGITS.findall(value)) >= 3:
        return True
    if len(main_stretch(value)[1]) < 8:  # names joined by dots
        return False
    within = (one for one in pairwise(value) if one[0].isalpha() and (one[1].islower() or (one[0] + one[1]).isupper()))
    pairs = ["".join(one).lower() for one in within] or [value[:2]]  # within a word, CamelCase or not
    return sum(pair in _PAIRS for pair in pairs) <= len(pairs) * 0.5


def has_sign(value: str) -> bool:
    """Whether a sign that no identifier and no name of a file has is in it, before the end."""
    return _SIGN.search(value[:-1]) is not None


def path_like(value: str) -> bool:
    return value[0] in "/~." and not random_like(value)


def begins(text: str, at: int) -> bool:
    """Whether something of its own can begin at `at`: no letter or digit is before it, an escaped line end apart."""
    if at == 0 or not text[at - 1].isalnum():
        return True
    return text[at - 1] in "nrt" and text[at - 2 : at - 1] == "\\"
