"""What is no secret stays: ordinary code, stand-ins, digests, versions, examples."""

from __future__ import annotations

import random
import sysconfig
from pathlib import Path

import pytest

from distill.redact import Redactor

REDACTOR = Redactor(bytes(range(32)))
LINES = 60_000

STAYS = [
    "YOUR_API_KEY",
    'api_key = "YOUR_API_KEY"',
    'openai.api_key = "sk-your-key-goes-here-0000"',
    "token: <token>",
    "password: ${DB_PASSWORD}",
    "password: ${{ secrets.DB_PASSWORD_2 }}",
    'PASSWORD = os.environ["PASSWORD_1"]',
    "self.token = token",
    "self.password = password2",
    "password = getpass.getpass(prompt1)",
    "def login(user: str, password: str = 'x') -> Token2022:",
    'if token_type != "bearer": raise ValueError',
    '{"type": "password", "label": "Password", "name": "new_password1"}',
    "commit 4f2e1d9c8b7a6f5e4d3c2b1a09f8e7d6c5b4a392",
    'sha256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"',
    'hash = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"',
    '"integrity": "sha512-' + "aB3/" * 21 + 'aw=="',
    "id: 550e8400-e29b-41d4-a716-446655440000",
    "version 12.13.14.15",
    "Chrome/91.44.77.124 Safari/537.36",
    "numpy==12.23.45.67",
    "see section 1.2.3.4",
    "127.0.0.1:8080 0.0.0.0 10.11.12.13 192.168.178.21 198.51.100.23 255.255.255.0",
    "::1 fe80::1 2001:db8::17",
    "user@example.com, someone@sub.example.org",
    "git@github.com:user/project.git",
    "noreply@github.com",
    "lodash@4.17.21 icon@2x.png @app.route @pytest.mark.slow",
    "y = x@self.weight.T",
    "postgres://user:password@localhost/db",
    "postgres://postgres:postgres@db:5432/app",
    'f"https://{user}:{password}@{host}"',
    "https://example.com/home/about https://api.example.com/Users/12345",
    "/home/user/project /Users/Shared/x C:\\Users\\Public\\x ~/.config",
    "2026-03-01 12:00:01,123 1767225600000 1767225600123456789",
    "0x7fffffffffffffff 18446744073709551615 4294967296 +4294967296",
    "Authorization: Bearer $TOKEN",
    'headers = {"Authorization": f"Bearer {token}"}',
    "Basic authentication is required",
    "authorization = base64.decodebytes(authorization)",
    "eyJ is how they begin",
    "-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA\n-----END PUBLIC KEY-----",
    'if "-----BEGIN PRIVATE KEY-----" in text and "-----END PRIVATE KEY-----" in text: pass',
    'cache_key = "0123456789abcdef0123456789abcdef"',
    "primary_key=True, public_key=load_public_key2(data)",
    "class sk-fading-circle12-wrapper",
    "tokens = tokenizer.encode(text2, add_special_tokens=False)",
    "max_tokens: 100256, eos_token: '<|im_end|>', pad_token_id=151643",
    "phone_id: 12345678",
    'password_hash = "argon2id", password = "sha-256", passwd = "test1234"',
    "session_id: 550e8400-e29b-41d4-a716-446655440000",
    "docker run -u 1000:1000 image; sort -u a:b1c2d3",
    "bypass: mode_2_fast9",
]


@pytest.mark.parametrize("text", STAYS)
def test_it_stays(text: str) -> None:
    assert REDACTOR.text(text) is text


def test_ordinary_code_stays() -> None:
    """Addresses of authors are what changes most, and rightly."""
    folders = [Path(sysconfig.get_path("stdlib")), Path(sysconfig.get_path("purelib"))]
    total = changed = 0
    for folder in folders:
        files = sorted(folder.glob("*.py")) + sorted(folder.glob("*/*.py"))
        random.Random(1).shuffle(files)
        lines = 0
        for file in files:
            text = file.read_text(encoding="utf-8", errors="surrogateescape")
            before, after = text.split("\n"), REDACTOR.text(text).split("\n")
            assert len(before) == len(after)
            changed += sum(old != new for old, new in zip(before, after, strict=True))
            lines += len(before)
            if lines > LINES // 2:
                break
        total += lines
    assert total >= LINES
    assert changed < total / 500, f"{changed} of {total} lines changed"
