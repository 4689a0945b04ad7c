"""What becomes of a Messages request, seen by what the upstream is sent."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.api.messages.request import read_prompt, read_request
from router.chat import InvalidRequest

TOOL = {"name": "read", "description": "Read a file.", "input_schema": {"type": "object"}}
SEARCH = {"type": "web_search_20250305", "name": "web_search", "max_uses": 3}
PIXEL = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}}
HI = [{"role": "user", "content": "Hi"}]


def chat(**fields: Any) -> dict[str, Any]:
    return read_request({"model": "m", "max_tokens": 9, "messages": HI, **fields}).body


def notes(**fields: Any) -> dict[str, str]:
    return dict(read_request({"model": "m", "max_tokens": 9, "messages": HI, **fields}).notes)


def turns(*messages: Any) -> list[dict[str, Any]]:
    told: list[dict[str, Any]] = chat(messages=list(messages))["messages"]
    return told


def user(*blocks: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(blocks)}


def text(words: str, **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": words, **more}


def result(call: str, content: Any, **more: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": call, "content": content, **more}


def test_a_plain_request() -> None:
    assert chat() == {"model": "m", "messages": HI, "max_tokens": 9}


@pytest.mark.parametrize(
    ("system", "said"),
    [
        ("Be brief.", "Be brief."),
        ([text("Be brief.", cache_control={"type": "ephemeral"}), text("Be kind.")], "Be brief.\nBe kind."),
        ([text("x-anthropic-billing-header: cc_version=2; cch=1a2b;"), text("You are.")], "You are."),
        ("x-anthropic-billing-header: cc_version=2; cch=1a2b;\nYou are.", "You are."),
        ([text("Speak of x-anthropic-billing-header: freely.")], "Speak of x-anthropic-billing-header: freely."),
    ],
)
def test_the_system_prompt_without_what_changes_at_every_request(system: Any, said: str) -> None:
    assert chat(system=system)["messages"] == [{"role": "system", "content": said}, *HI]


@pytest.mark.parametrize("system", [None, "", [], [text("x-anthropic-billing-header: cch=1;")]])
def test_no_system_prompt_where_nothing_is_said(system: Any) -> None:
    assert chat(system=system)["messages"] == HI


def test_a_system_message_within_the_conversation_stays_where_it_is() -> None:
    assert turns(*HI, {"role": "system", "content": [text("Now in French.")]}, user(text("Go on."))) == [
        *HI,
        {"role": "system", "content": "Now in French."},
        {"role": "user", "content": "Go on."},
    ]


def test_texts_are_lines_and_pictures_are_parts() -> None:
    assert turns(user(text("a"), text("b"))) == [{"role": "user", "content": "a\nb"}]
    linked = {"type": "image", "source": {"type": "url", "url": "https://x.test/a.png"}}
    assert turns(user(text("a"), PIXEL, linked))[0]["content"] == [
        {"type": "text", "text": "a"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}},
        {"type": "image_url", "image_url": {"url": "https://x.test/a.png"}},
    ]


def test_results_of_tools_come_first_and_in_order() -> None:
    assert turns(
        user(text("By the way,"), result("c1", "one"), result("c2", [text("two"), text("2")]), text("go on."))
    ) == [
        {"role": "tool", "tool_call_id": "c1", "content": "one"},
        {"role": "tool", "tool_call_id": "c2", "content": "two\n2"},
        {"role": "user", "content": "By the way,\ngo on."},
    ]


def test_a_result_alone_makes_no_user_message() -> None:
    assert turns(user(result("c1", None))) == [{"role": "tool", "tool_call_id": "c1", "content": ""}]


def test_a_result_that_is_an_error_says_so() -> None:
    told = turns(user(result("c1", "no such file", is_error=True), result("c2", [text("x")], is_error=False)))
    assert [message["content"] for message in told] == ["Error: no such file", "x"]


def test_pictures_in_a_result_follow_it() -> None:
    tool, shown = turns(user(result("c1", [text("Taken."), PIXEL]), text("Well?")))
    assert tool == {"role": "tool", "tool_call_id": "c1", "content": "Taken.\n[image: see the next message]"}
    kinds = [part["type"] for part in shown["content"]]
    assert kinds == ["text", "image_url", "text"]
    assert "c1" in shown["content"][0]["text"]


def test_an_assistants_blocks_are_one_message_again() -> None:
    blocks = [
        {"type": "thinking", "thinking": "Hm.", "signature": "s"},
        {"type": "redacted_thinking", "data": "opaque"},
        text("I look"),
        text(" now."),
        {"type": "tool_use", "id": "c1", "name": "read", "input": {"path": "ä.py"}},
    ]
    assert turns(*HI, {"role": "assistant", "content": blocks})[1] == {
        "role": "assistant",
        "content": "I look now.",
        "reasoning_content": "Hm.",
        "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "read", "arguments": '{"path":"ä.py"}'}}],
    }


@pytest.mark.parametrize(
    ("content", "said"), [("ok", "ok"), ([], ""), ([{"type": "redacted_thinking", "data": "x"}, text("y")], "y")]
)
def test_an_assistant_that_only_speaks(content: Any, said: str) -> None:
    assert turns(*HI, {"role": "assistant", "content": content})[1] == {"role": "assistant", "content": said}


def test_sampling_keeps_its_meaning() -> None:
    told = chat(temperature=0.5, top_p=0.9, top_k=40, stop_sequences=["\n\n"], metadata={"user_id": "u1"})
    assert {key: told[key] for key in ("temperature", "top_p", "top_k", "stop", "user")} == {
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": 40,
        "stop": ["\n\n"],
        "user": "u1",
    }
    assert chat(stream=True)["stream_options"] == {"include_usage": True}
    assert not {"stop", "stream"} & chat(stop_sequences=[], stream=False).keys()


def test_a_wanted_format_is_a_schema() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    wanted = {"type": "json_schema", "schema": schema}
    for told in (chat(output_config={"format": wanted}), chat(output_format=wanted)):
        assert told["response_format"] == {
            "type": "json_schema",
            "json_schema": {"name": "answer", "schema": schema, "strict": True},
        }


def test_tools_are_functions_and_hosted_ones_are_left_out() -> None:
    custom = {"type": "custom", "name": "write", "input_schema": {}, "strict": True}
    told = chat(tools=[TOOL, SEARCH, custom, {"type": "computer_toolset_20260801"}])
    assert told["tools"] == [
        {
            "type": "function",
            "function": {"name": "read", "description": "Read a file.", "parameters": {"type": "object"}},
        },
        {"type": "function", "function": {"name": "write", "parameters": {}, "strict": True}},
    ]
    skipped = notes(tools=[TOOL, SEARCH, {"type": "computer_toolset_20260801"}])
    assert skipped == {"x-nightschool-skipped-tools": "web_search,computer_toolset_20260801"}
    assert "tools" not in chat(tools=[SEARCH], tool_choice={"type": "auto"})
    assert "tool_choice" not in chat(tools=[SEARCH], tool_choice={"type": "auto"})


@pytest.mark.parametrize(
    ("choice", "told"),
    [
        ({"type": "auto"}, {"tool_choice": "auto"}),
        ({"type": "any"}, {"tool_choice": "required"}),
        ({"type": "none"}, {"tool_choice": "none"}),
        ({"type": "tool", "name": "read"}, {"tool_choice": {"type": "function", "function": {"name": "read"}}}),
        (
            {"type": "auto", "disable_parallel_tool_use": True},
            {"tool_choice": "auto", "parallel_tool_calls": False},
        ),
    ],
)
def test_the_choice_of_tools(choice: Any, told: dict[str, Any]) -> None:
    found = chat(tools=[TOOL], tool_choice=choice)
    assert {key: found[key] for key in found if key in ("tool_choice", "parallel_tool_calls")} == told


def test_what_has_no_effect_is_told() -> None:
    told = notes(
        thinking={"type": "enabled", "budget_tokens": 2048},
        service_tier="auto",
        container=None,
        mcp_servers=[],
        output_config={"effort": "high"},
        **{"odd\r\nname": 1},
    )
    assert told == {"x-nightschool-ignored-params": "thinking,service_tier,odd%0D%0Aname,output_config.effort"}
    assert notes(metadata={"user_id": "u"}, top_k=3) == {}


@pytest.mark.parametrize(
    ("user_id", "conversation"),
    [
        ("user_ab12_account_1c_session_7f3e2a10-0000-4000-8000-000000000001", "7f3e2a10-0000-4000-8000-000000000001"),
        (json.dumps({"device_id": "d", "account_uuid": "", "session_id": "s-1"}), "s-1"),
        (json.dumps({"device_id": "d"}), ""),
        ('{"session_id": 3}', ""),
        ("{not json", ""),
        ("somebody", ""),
        (None, ""),
    ],
)
def test_claude_codes_session_names_the_conversation(user_id: Any, conversation: str) -> None:
    body = {"model": "m", "max_tokens": 9, "messages": HI, "metadata": {"user_id": user_id}}
    assert read_request(body).conversation == conversation


def test_counting_needs_no_limit_and_counts_the_same_prompt() -> None:
    body = {"model": "m", "messages": HI, "system": "Be brief.", "tools": [TOOL, SEARCH], "thinking": {"type": "x"}}
    counted, asked = read_prompt(body), read_request({**body, "max_tokens": 1})
    assert counted.request.messages == asked.request.messages
    assert counted.request.tools == asked.request.tools
    with pytest.raises(InvalidRequest):
        read_request(body)
