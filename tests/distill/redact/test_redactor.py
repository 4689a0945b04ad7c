"""What a redacted text, value and trace look like, and what of a trace goes with a secret."""

from __future__ import annotations

import hashlib
import json
import random
import re
import struct
from typing import Any

import msgspec
import pytest

from distill.outcome import Outcome
from distill.redact import Redactor
from distill.trace import Draft, Served, Trace
from router.chat import AnswerMessage, ChatRequest, EngineNote, FunctionCall, Message, TokenLogprob, ToolCall
from router.decision import Decision
from tests.distill.redact.planted import KINDS, drawn

KEY = bytes(range(32))
OTHERWISE = re.compile("home|email|ip|key$|string|table|jwt|hash")  # kinds of other shapes, or planted in part
PASSWORD = 'password = "hunter2x"'


def trace(*messages: Message, **fields: Any) -> Trace:
    given: dict[str, Any] = {"state": "completed", "decision": Decision("teacher", "policy"), **fields}
    return Trace("t1", 1.0, "c", ChatRequest("m", list(messages)), **given)


def shape(text: str) -> set[str]:
    tests = {"lower": str.islower, "upper": str.isupper, "digit": str.isdigit}
    return {name for name, holds in tests.items() if any(map(holds, text))}


def test_a_key_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="16 bytes, not 32"):
        Redactor(b"x" * 16)


def test_the_key_decides_the_placeholders() -> None:
    assert Redactor(KEY).text(PASSWORD) == Redactor(KEY).text(PASSWORD) != Redactor(KEY[::-1]).text(PASSWORD)


@pytest.mark.parametrize("name", [name for name in KINDS if not OTHERWISE.search(name)])
def test_a_placeholder_has_the_shape_of_its_secret(name: str) -> None:
    for seed in range(20):
        text, secret = KINDS[name](random.Random(seed))
        after = Redactor(KEY).text(text)
        at = text.index(secret)
        placeholder = after[at : at + len(secret)]
        assert after[:at] == text[:at]
        assert after[at + len(secret) :] == text[at + len(secret) :]
        assert len(after) == len(text)
        assert shape(placeholder) == shape(secret)
        assert re.sub("[A-Za-z0-9]", "", placeholder) == re.sub("[A-Za-z0-9]", "", secret)


@pytest.mark.parametrize(
    "prefix", ["sk-" + "proj-", "sk-" + "ant-api03-", "gh" + "p_", "github_" + "pat_", "glp" + "at-"]
)
def test_a_vendor_s_beginning_stays(prefix: str) -> None:
    secret = prefix + drawn(random.Random(prefix), 40)
    after = Redactor(KEY).text(f"with {secret} in")
    assert after.startswith(f"with {prefix}")
    assert secret not in after


def test_kinds_stay_what_they_were() -> None:
    redactor = Redactor(KEY)
    for seed in range(50):
        rng = random.Random(seed)
        assert re.search(r"<[a-z.]+@example\.com>", redactor.text(KINDS["email"](rng)[0]))
        assert re.search(r"from 198\.1[89]\.\d+\.\d+:51234", redactor.text(KINDS["ip"](rng)[0]))
        assert re.search(r"\[2001:db8:[0-9a-f:]+\]", redactor.text(KINDS["ipv6"](rng)[0]))
        assert re.search(r"SSN: 9\d\d-\d\d-\d{4}", redactor.text(KINDS["ssn"](rng)[0]))
        assert "55501" in re.sub(r"\D", "", redactor.text(KINDS["phone"](rng)[0]))
        assert re.search(r"sid=eyJ\w{30}\.eyJ\w{60}\.[\w-]{43}; path", redactor.text(KINDS["jwt"](rng)[0]))
        key = redactor.text(KINDS["rsa key"](rng)[0])
        assert re.fullmatch(r'key: "-----BEGIN RSA PRIVATE KEY-----\n([\w+/]{64}\n){6}\w{30}==\n-----END .*"', key)


def test_home_folders_are_nobody_s() -> None:
    told = "/home/{0}/a /Users/{0}/b C:\\Users\\{0}\\c C:\\\\Users\\\\{0}\\\\d /mnt/c/Users/{0} -I/home/{0}/e"
    assert Redactor(KEY).text(told.format("alice")) == told.format("user")
    assert Redactor(KEY).text("C:\\Users\\Alice Smith\\x") == "C:\\Users\\user\\x"


def test_words_behind_a_number_tell_of_it_too() -> None:
    assert Redactor(KEY).text("123-45-6789 is my SSN").startswith("9")
    assert Redactor(KEY).text("123-45-6789 is a part number") == "123-45-6789 is a part number"


def test_a_long_value_goes_to_its_end() -> None:
    value = drawn(random.Random(1), 3000)
    assert not set(re.findall(".{20}", value)) & set(
        re.findall(".{20}", Redactor(KEY).text(f"client-key-data: {value}"))
    )


def test_one_number_is_the_same_however_it_is_written() -> None:
    digits = KINDS["card"](random.Random(1))[1].replace(" ", "").replace("-", "")
    spaced = " ".join(digits[at : at + 4] for at in range(0, 16, 4))
    one, two = Redactor(KEY).text(f"{digits} and {spaced}").split(" and ")
    assert one == two.replace(" ", "") != digits


def test_nothing_found_gives_the_same_object() -> None:
    redactor = Redactor(KEY)
    value = {"a": ["text", {"b": 1.5, "c": None, "d": 4294967296}]}
    clean = trace(Message("user", "Where is main?"), answer=AnswerMessage("In a.py."), served=Served([1], [2]))
    text = "nothing here\n" * 100
    for _ in range(2):  # looked through, then remembered
        assert redactor.text(text) is text
        assert redactor.value(value) is value
        assert redactor.trace(clean) is clean
    outcome = Outcome("t", "feedback", 1.0, comment="good")
    assert redactor.outcome(outcome) is outcome


def test_a_secret_known_by_its_name_goes_where_it_stands_bare() -> None:
    messages = [
        Message("user", "Try hunter2x, then (hunter2x)! Not hunter2xy."),
        Message("assistant", tool_calls=[ToolCall("c", FunctionCall("run", '{"args": ["-u", "hunter2x"]}'))]),
        Message("tool", f"config.py:1: {PASSWORD}", tool_call_id="c"),
    ]
    redactor = Redactor(KEY)
    for _ in range(2):  # with messages that were seen before, too
        after = redactor.trace(trace(*messages))
        encoded = msgspec.json.encode(after.request.messages).decode()
        found = re.search(r'password = \\"(x{4}\w{4})\\"', encoded)
        assert found
        assert encoded.count(found[1]) == 4
        assert encoded.count("hunter2x") == encoded.count("hunter2xy") == 1
        assert after.redacted == 1


def test_a_password_that_is_a_word_goes_only_where_it_is_told() -> None:
    value = ["amqp://app:local-dev@mq/x", "make local-dev"]
    after = Redactor(KEY).value(value)
    assert "local-dev" not in after[0]
    assert after[1] == value[1]


def test_the_escaped_form_of_a_known_secret_goes_too() -> None:
    secret = 'hu"nt\\er2é'
    value = {"password": secret, "note": f"it is {json.dumps(secret)} there", "plain": f"is {secret}?"}
    after = Redactor(KEY).value(value)
    assert secret not in after["plain"]
    assert json.dumps(secret)[1:-1] not in after["note"]


@pytest.mark.parametrize("password", ["barney99", "int3resting9", "Passw0rd!x", "tr0ub4dor&3", "p-w-1-x-9"])
def test_passwords_that_people_choose_go(password: str) -> None:
    assert password not in Redactor(KEY).text(f'"password": "{password}"')


def test_names_of_objects_tell_of_their_values() -> None:
    bearer = {"Authorization": "Bearer short9token"}
    assert Redactor(KEY).value(bearer)["Authorization"].startswith("Bearer xxxx")
    value = {"api_key": "0a" * 8 + "1b" * 8, "n": {"ssn": 123456789}, "phone": "5552345678", "passwords": ["qwe98rty"]}
    after = Redactor(KEY).value(value)
    assert after["api_key"].startswith("0" * 8)
    assert str(after["n"]["ssn"]).startswith("9999")
    assert after["phone"].startswith("9999")
    assert after["passwords"][0].startswith("xxxx")


def test_keys_that_become_one_lose_nothing() -> None:
    for other in ("/home/bob/a", "/home/user/a"):
        assert Redactor(KEY).value({"/home/ann/a": 1, other: 2}) == {"/home/user/a": 1, "/home/user/a (2)": 2}


def test_arguments_keep_their_form() -> None:
    """Only the string that had a secret is written anew: spaces, order, numbers and other escapes stay."""
    arguments = '{ "b" : 1.0,\n  "a": "\\u00e9\\/", "cmd": "cd \\"C:\\\\Users\\\\alice\\"\\n", "b": 1e400 }'
    message = Message("assistant", tool_calls=[ToolCall("c", FunctionCall("run", arguments))])
    after = Redactor(KEY).trace(trace(message)).request.messages[0].tool_calls
    assert after is not None
    assert after[0].function.arguments == arguments.replace("alice", "user")


def test_numbers_in_arguments_stay_numbers() -> None:
    digits = KINDS["card"](random.Random(3))[1].replace(" ", "").replace("-", "")
    after = Redactor(KEY).text(f'{{"card": {digits}, "pin": {{"password": 8675309123}}}}')
    read = json.loads(after)
    assert str(read["card"])[0] == digits[0]
    assert read["card"] != int(digits)
    assert str(read["pin"]["password"]).startswith("9999")


def test_what_encodes_a_changed_text_goes() -> None:
    draft = Draft(AnswerMessage("Ask x."), logprobs=[TokenLogprob("Ask", -0.1)], note=EngineNote("raw", "m"))
    served = Served([1, 2, 70000], [5])
    before = trace(Message("user", PASSWORD), draft=draft, served=served, note=EngineNote("kept", "m"))
    after = Redactor(KEY).trace(before)
    assert after.served is None
    assert after.served_digest == hashlib.sha256(struct.pack("<5i", 1, 2, 70000, 3, 5)).hexdigest()
    assert (after.draft, after.note) == (draft, before.note)  # these encode the answers, in which nothing was
    assert after.redacted == 1


def test_a_secret_in_the_draft_takes_its_tokens_and_raw_text() -> None:
    draft = Draft(AnswerMessage(PASSWORD), logprobs=[TokenLogprob("x", -0.1)], note=EngineNote("raw", "digest"))
    after = Redactor(KEY).trace(trace(Message("user", "Hi."), draft=draft, served=Served([1], [2])))
    assert after.draft is not None
    assert after.draft.logprobs is None
    assert after.draft.note == EngineNote("", "digest")
    assert after.served is None


def test_a_secret_among_the_tokens_alone_takes_them() -> None:
    secret = "gh" + "p_" + drawn(random.Random(1), 36)
    tokens = [TokenLogprob("a", -0.1, top_logprobs=[{"token": secret, "logprob": -3.0}])]
    after = Redactor(KEY).trace(trace(Message("user", "Hi."), draft=Draft(AnswerMessage("a"), logprobs=tokens)))
    assert after.draft == Draft(AnswerMessage("a"))


def test_token_ids_stay_where_only_other_fields_had_a_secret() -> None:
    after = Redactor(KEY).trace(trace(Message("user", "Hi."), error="at /home/alice/x", served=Served([1], [2])))
    assert (after.error, after.served, after.redacted) == ("at /home/user/x", Served([1], [2]), 1)


def test_placeholders_are_counted_once() -> None:
    secrets = "\n".join([PASSWORD, PASSWORD, "mail a.b@corp.com", "in /home/ann and /home/bob"])
    assert Redactor(KEY).trace(trace(Message("user", secrets))).redacted == 3


def test_pictures_are_left_alone() -> None:
    url = "data:image/png;base64," + drawn(random.Random(1), 100_000) + "=="
    content = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": PASSWORD}]
    after = Redactor(KEY).trace(trace(Message("user", content))).request.messages[0].content
    assert isinstance(after, list)
    assert after[0] is content[0]
    assert "hunter2x" not in after[1]["text"]


def test_values_nested_deeper_than_we_would_go_are_gone_through() -> None:
    deep: Any = PASSWORD
    for _ in range(450):
        deep = [{"a": deep}]
    after = Redactor(KEY).value(deep)
    assert "hunter2x" not in json.dumps(after)
    assert "xxxx" in json.dumps(after)


def test_a_private_key_that_was_cut_off_goes() -> None:
    rng = random.Random(5)
    lines = [drawn(rng, 64) for _ in range(5)]
    after = Redactor(KEY).text("-----BEGIN PRIVATE KEY-----\n" + "\n".join(lines) + "\n[12 more lines not shown]")
    assert not [line for line in lines if line in after]
    assert after.endswith("\n[12 more lines not shown]")


@pytest.mark.parametrize(
    "kept",
    [
        "$argon2id$v=19$m=65536,t=3,p=4$c29tZVNhbHQxMjM$RdescudvJCsgt3ub+b4dWRWJTmaaObGnXaKgDCq7Qe8",
        "$argon2i$v=19$m=4096,t=3,p=1$c29tZVNhbHQxMjM$iWh06vD8Fy27wf9npn6FXWiCX4K6pW6Ue1Bnzz07Z8A",
        "pbkdf2_sha256$600000$aB3dE6gH9jK2$uG8vYb1T0m3ZqX7sLr5nPw4kHc2dJf6eAy9iOxVtQzM=",
    ],
)
def test_hashes_of_passwords_go_wherever_they_stand(kept: str) -> None:
    redactor = Redactor(KEY)
    after = redactor.text(f"alice | {kept} | 2026")
    assert kept.rsplit("$", 1)[1].rstrip("=") not in after
    assert redactor.text(after) == after
