"""Secrets and personal data of every kind, drawn from a seed when they are asked for: none stands in this file.

A kind draws (a text as somebody would write it, what must not be left of it).
"""

from __future__ import annotations

import base64
import random
import string
from collections.abc import Callable

Planted = tuple[str, str]
Kind = Callable[[random.Random], Planted]

LETTERS = string.ascii_letters + string.digits
HEX = "0123456789abcdef"


def drawn(rng: random.Random, count: int, alphabet: str = LETTERS) -> str:
    return "".join(rng.choice(alphabet) for _ in range(count))


def token(prefix: str, count: int, alphabet: str = LETTERS, written: str = "the key is {} now") -> Kind:
    def plant(rng: random.Random) -> Planted:
        secret = prefix + drawn(rng, count, alphabet)
        return written.format(secret), secret

    return plant


def given(written: str, count: int, alphabet: str = LETTERS) -> Kind:
    """A value that only its name gives away; it has letters and digits, as somebody's password would."""

    def plant(rng: random.Random) -> Planted:
        secret = drawn(rng, count - 3, alphabet) + "a7f" + ""
        return written.format(secret), secret

    return plant


def private_key(label: str, end: str = "\n") -> Kind:
    def plant(rng: random.Random) -> Planted:
        lines = [drawn(rng, 64, LETTERS + "+/") for _ in range(6)] + [drawn(rng, 30) + "=="]
        block = end.join([f"-----BEGIN {label}-----", *lines, f"-----END {label}-----"])
        return f'key: "{block}"', rng.choice(lines)

    return plant


def luhn_digit(digits: str) -> str:
    doubled = [int(d) * 2 - 9 * (int(d) > 4) for d in digits[::-2]]
    return str(-(sum(doubled) + sum(map(int, digits[-2::-2]))) % 10)


def card(rng: random.Random) -> Planted:
    brand, length = rng.choice([("4", 16), ("51", 16), ("55", 16), ("37", 15), ("6011", 16)])
    digits = brand + drawn(rng, length - len(brand) - 1, string.digits)
    digits += luhn_digit(digits)
    if length == 16 and rng.random() < 0.5:
        digits = rng.choice(" -").join(digits[at : at + 4] for at in range(0, 16, 4))
    return f"paid with {digits}, thanks", digits


def account(rng: random.Random) -> Planted:
    country, length = rng.choice([("DE", 22), ("NL", 18), ("GB", 22), ("FR", 27)])
    rest = ("ABNA" if country in ("NL", "GB") else "1234") + drawn(rng, length - 8, string.digits)
    value = int("".join(str(int(letter, 36)) for letter in f"{rest}{country}00"))
    iban = f"{country}{98 - value % 97:02}{rest}"
    if rng.random() < 0.5:
        iban = " ".join(iban[at : at + 4] for at in range(0, length, 4))
    return f"transfer to {iban} today", iban


def email(rng: random.Random) -> Planted:
    name = f"{drawn(rng, 5, string.ascii_lowercase)}.{drawn(rng, 7, string.ascii_lowercase)}"
    secret = f"{name}@{drawn(rng, 8, string.ascii_lowercase)}.{rng.choice(['com', 'de', 'co.uk', 'io'])}"
    return f"Author: A. Person <{secret}>", secret


def phone(rng: random.Random) -> Planted:
    area, number = f"{rng.randint(2, 9)}{drawn(rng, 2, string.digits)}", drawn(rng, 4, string.digits)
    exchange = f"{rng.randint(2, 4)}{drawn(rng, 2, string.digits)}"
    secret = rng.choice(
        [
            f"+1 ({area}) {exchange}-{number}",
            f"+1 {area} 555 01{number[:2]} (home)",
            f"{area}-{exchange}-{number}",
            f"+49 {rng.randint(151, 179)} {drawn(rng, 8, string.digits)}",
            f"+44 20 {exchange}{drawn(rng, 1, string.digits)} {number}",
        ]
    )
    return f"call me: {secret}.", secret


def address(rng: random.Random) -> Planted:
    secret = f"{rng.randint(13, 99)}.{rng.randint(10, 255)}.{rng.randint(0, 255)}.{rng.randint(1, 254)}"
    return f"connection from {secret}:51234 closed", secret


def long_address(rng: random.Random) -> Planted:
    secret = "2a01:" + ":".join(drawn(rng, 3, HEX) + "1" for _ in range(7))
    return f"peer [{secret}] is gone", secret


def social(rng: random.Random) -> Planted:
    secret = f"{rng.randint(100, 600)}-{rng.randint(10, 99)}-{rng.randint(1000, 9999)}"
    return f"SSN: {secret}", secret


def home(pattern: str) -> Kind:
    def plant(rng: random.Random) -> Planted:
        name = drawn(rng, 9, string.ascii_lowercase)
        return pattern.format(name), name

    return plant


def web_token(rng: random.Random) -> Planted:
    parts = ["eyJ" + drawn(rng, 30), "eyJ" + drawn(rng, 60), drawn(rng, 43, LETTERS + "-_")]
    return f"cookie sid={'.'.join(parts)}; path=/", parts[2]


def basic(rng: random.Random) -> Planted:
    secret = base64.b64encode(f"admin:{drawn(rng, 12)}".encode()).decode()
    return f"Authorization: Basic {secret}", secret


def aws_pair(rng: random.Random) -> Planted:
    secret = drawn(rng, 40, LETTERS + "/+")
    return f"AKIA{drawn(rng, 16, string.ascii_uppercase + '234567')},{secret}", secret


KINDS: dict[str, Kind] = {
    "rsa key": private_key("RSA PRIVATE KEY"),
    "openssh key": private_key("OPENSSH PRIVATE KEY"),
    "key in a string": private_key("PRIVATE KEY", "\\n"),
    "aws id": token("AKIA", 16, string.ascii_uppercase + "234567"),
    "aws secret": given('aws_secret_access_key = "{}"', 40, LETTERS + "/+"),
    "aws table": aws_pair,
    "github": token("gh" + "p_", 36),
    "github app": token("gh" + "s_", 36),
    "github fine-grained": token("github_" + "pat_", 82, LETTERS),
    "gitlab": token("glp" + "at-", 20),
    "slack": token("xox" + "b-" + "123456789012-1234567890123-", 24),
    "slack hook": token("https://hooks.slack.com/" + "services/T0AB12CD3/B0AB12CD3/", 24),
    "openai": token("sk-" + "proj-", 48),
    "anthropic": token("sk-" + "ant-api03-", 95, LETTERS + "-_"),
    "hugging face": token("h" + "f_", 34),
    "google": token("AI" + "za", 35, LETTERS + "-_"),
    "stripe": token("sk_" + "live_", 24),
    "twilio": token("S" + "K", 32, HEX),
    "sendgrid": token("S" + "G." + "a1B2c3D4e5F6g7H8i9J0kL.", 43),
    "npm": token("np" + "m_", 36, written="//registry.npmjs.org/:_authToken={}"),
    "pypi": token("pypi-" + "AgEIcHlwaS5vcmc", 60),
    "jwt": web_token,
    "bearer": token("", 40, written="curl -H 'Authorization: Bearer {}' x"),
    "basic": basic,
    "url password": given("postgres://app:{}@db.internal:5432/main", 12),
    "connection string": given("Server=db;User Id=sa;Password={};Encrypt=yes", 12),
    "password in code": given('password = "{}"', 9, string.ascii_lowercase),
    "password in yaml": given("db:\n  password: {}\n", 10),
    "password in env": given("export DB_PASSWORD={}\nDEBUG=1", 10),
    "password in json": given('{{"user": "x", "password": "{}"}}', 10),
    "password as option": given("mysql -h db --password {} -e x", 10),
    "password in words": given("The password is {}, please keep it.", 9),
    "password for curl": given("$ curl -u admin:{} https://api.internal/x", 12),
    "password in sql": given("CREATE USER x IDENTIFIED BY '{}'; -- done", 11),
    "netrc": given("machine api.internal login me password {}\n", 11),
    "hash of a password": given("root:$6$" + "saltsalt$" + "{}:19000:0:99999", 86),
    "session": given("Set-Cookie: session={}; Secure", 40),
    "hex secret": given('client_secret: "{}"', 40, HEX),
    "api key": given("API_KEY={}", 32, HEX),
    "azure key": given("AccountName=x;AccountKey={};", 60),
    "email": email,
    "phone": phone,
    "card": card,
    "iban": account,
    "ip": address,
    "ipv6": long_address,
    "ssn": social,
    "linux home": home("cd /home/{}/src && make"),
    "mac home": home("file:///Users/{}/notes.txt"),
    "windows home": home("C:\\Users\\{}\\AppData"),
}
