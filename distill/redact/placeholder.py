"""Placeholders: what stands for a secret. Owns how they are drawn; knows nothing of how secrets are found.

A placeholder depends on the key and on the secret alone, so a secret has the same one wherever it stands and however
it was found. It has the secret's shape: a vendor's beginning, the lengths, the classes of characters and what divides
them stay. It is made so that no rule takes it for a secret again: a token's longest run begins with a mark
(`likeness.mark`), a card fails its check digit, an account has a check number that no account has, an address of a
machine is from a net that is never routed, a telephone number is from those kept for fiction, and an e-mail address
is at example.com.
"""

from __future__ import annotations

import hashlib
import hmac
import itertools
import re
import string
from collections.abc import Callable, Iterator

from distill.redact import numbers
from distill.redact.likeness import GROUP, is_hex, is_uuid, main_stretch, mark, split_prefix

EMAIL = re.compile(r"[\w.+%-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}")
_STRETCHES = re.compile(r"[A-Za-z0-9]+|[^A-Za-z0-9]+")
_DIGIT, _NO_DIGIT = re.compile(r"\d"), re.compile(r"\D")
_STAYS = frozenset("-_.:/+=~,%$\r\n\t ")
_CLASSES = (string.ascii_lowercase, string.ascii_uppercase, string.digits)
_Draw = Iterator[int]
_Drawing = Callable[[str], _Draw]


class Placeholders:
    """Draws placeholders from a key of 32 bytes. Raises ValueError for a key of another length."""

    def __init__(self, key: bytes) -> None:
        if len(key) != 32:
            raise ValueError(f"the key of placeholders has {len(key)} bytes, not 32")
        self._key = key

    def of(self, secret: str) -> str:
        """The placeholder of a secret: the same for the same key and secret, with as many lines."""
        return next(made for shape in _SHAPES if (made := shape(secret, self._draw)))

    def _draw(self, secret: str) -> _Draw:
        """Bytes without end, drawn from the key and the secret."""
        seed = hmac.digest(self._key, secret.encode("utf-8", "surrogatepass"), "sha256")
        for block in itertools.count():
            yield from hashlib.shake_256(seed + block.to_bytes(4, "little")).digest(64 + len(secret))


def _email(secret: str, drawing: _Drawing) -> str:
    if not EMAIL.fullmatch(secret):
        return ""
    local = secret.partition("@")[0]
    divided = "".join(letter if letter in ".+-_" else "a" for letter in local).ljust(6, "a")
    return _filled(divided, "a", string.ascii_lowercase, drawing(secret.lower())) + "@example.com"


def _address(secret: str, drawing: _Drawing) -> str:
    if not numbers.public_address(secret):
        return ""
    draw = drawing(secret)
    if ":" in secret:
        groups = [f"{next(draw) * 256 + next(draw):x}" for _ in range(3)]
        return f"2001:db8:{groups[0]}:{groups[1]}::{groups[2]}"
    return f"198.{18 + next(draw) % 2}.{next(draw)}.{next(draw)}"


def _account(secret: str, drawing: _Drawing) -> str:
    if not re.match(r"[A-Z]{2}\d\d", secret) or numbers.account_length(secret) != len(secret):
        return ""
    draw = drawing(secret.replace(" ", ""))
    shape = re.sub(r"[A-Z]", "A", re.sub(r"\d", "0", secret[4:]))
    return f"{secret[:2]}00" + _filled(_filled(shape, "0", string.digits, draw), "A", string.ascii_uppercase, draw)


def _card(secret: str, drawing: _Drawing) -> str:
    if not numbers.is_card(secret):
        return ""
    made = secret[0] + _digits(secret[1:], drawing(_bare(secret)))
    if numbers.luhn(_bare(made)):
        made = made[:-1] + str((int(made[-1]) + 1) % 10)
    return made


def _social_security(secret: str, drawing: _Drawing) -> str:
    """No such number begins with a nine."""
    divided = re.fullmatch(r"\d{3}[- ]\d{2}[- ]\d{4}", secret) and numbers.is_social_security(secret)
    return "9" + _digits(secret[1:], drawing(_bare(secret))) if divided else ""


def _phone(secret: str, drawing: _Drawing) -> str:
    if secret.isdigit() or not numbers.is_phone(secret):
        return ""
    country = numbers.country_code(secret)
    rest = secret[len(country) :]
    digits = iter(numbers.fictional(_digits(_bare(rest), drawing(_bare(rest)))))
    return country + _DIGIT.sub(lambda _: next(digits), rest)


def _uuid(secret: str, drawing: _Drawing) -> str:
    if not is_uuid(secret):
        return ""
    draw = drawing(secret.lower())
    made = _filled("a" * 8 + "-aaaa" * 3 + "-000000aaaaa", "a", "0123456789abcdef", draw)
    made += "abcdef"[next(draw) % 6]
    return made if secret == secret.lower() else made.upper()


def _token(secret: str, drawing: _Drawing) -> str:
    draw = drawing(secret)
    prefix, body = split_prefix(secret)
    at, main = main_stretch(body)
    if len(main) < GROUP:  # nothing in it can carry a mark, so it is taken as one run
        bare = body.rstrip("=")
        run = "".join(letter if letter.isascii() and letter.isalnum() else "0" for letter in bare)
        return prefix + _stretch(run, draw, marked=len(run) >= GROUP) + body[len(bare) :]
    made = []
    for found in _STRETCHES.finditer(body):
        shared = 3 if found[0].startswith("eyJ") else 0
        made.append(found[0][:shared])
        if found[0][0].isascii() and found[0][0].isalnum():
            made.append(_stretch(found[0][shared:], draw, marked=found.start() + shared == at))
        else:
            made.append("".join(letter if letter in _STAYS else "_" for letter in found[0]))
    return prefix + "".join(made)


def _bare(number: str) -> str:
    """A number's digits, so that it has the same placeholder however it is divided."""
    return _NO_DIGIT.sub("", number)


def _stretch(real: str, draw: _Draw, *, marked: bool) -> str:
    """A run of letters and digits of the same length, with the same classes of characters in it."""
    alphabet = _alphabet(real)
    beginning = mark(real) if marked else ""
    needed = [letters for letters in _CLASSES if set(letters) & set(real) and not set(letters) & set(beginning)]
    ending = [[letter for letter in letters if letter in alphabet] for letters in needed]
    room = len(real) - len(beginning)
    choices = [*([alphabet] * (room - len(ending))), *ending][:room]
    return beginning + "".join(letters[next(draw) % len(letters)] for letters in choices)


def _alphabet(real: str) -> str:
    if is_hex(real):
        return "0123456789abcdef" if real == real.lower() else "0123456789ABCDEF"
    return "".join(letters for letters in _CLASSES if any(letter in letters for letter in real))


def _filled(shape: str, letter: str, alphabet: str, draw: _Draw) -> str:
    return "".join(alphabet[next(draw) % len(alphabet)] if one == letter else one for one in shape)


def _digits(shape: str, draw: _Draw) -> str:
    """The same divisions around other digits."""
    return _DIGIT.sub(lambda _: str(next(draw) % 10), shape)


_SHAPES: tuple[Callable[[str, _Drawing], str], ...] = (
    _email, _address, _account, _card, _social_security, _phone, _uuid, _token,
)  # fmt: skip
