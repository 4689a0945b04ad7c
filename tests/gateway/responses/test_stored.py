"""Responses that are kept: whose they are, how many, what is given back of them, and what never is kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from openai import OpenAI
from openai.types.responses.response_item_list import ResponseItemList

from gateway.api.responses.stored import ResponseStore
from gateway.backends.scripted import Act
from gateway.errors import PreviousResponseNotFound
from tests.gateway.responses.judged import judged, stream
from tests.gateway.running import Running, Script


def kept(store: ResponseStore, name: str, previous: str = "", owner: str = "me", text: str = "") -> None:
    response = {"id": name, "output": [{"id": f"msg_{name}", "text": text}]}
    items = [{"id": f"in_{name}"}]
    store.put(response, items, owner=owner, previous=previous, conversation=f"of {name}")


def test_a_chain_comes_in_its_order_and_ends_where_something_is_missing() -> None:
    store = ResponseStore()
    kept(store, "a")
    kept(store, "b", "a")
    kept(store, "c", "b")
    assert [one.id for one in store.chain("me", "c")] == ["a", "b", "c"]
    assert store.delete("me", "a")
    assert not store.delete("me", "a")
    with pytest.raises(PreviousResponseNotFound, match="'a', earlier in its chain"):
        store.chain("me", "c")


def test_the_least_recently_used_goes_first() -> None:
    store = ResponseStore(most=3)
    for name in ("a", "b", "c"):
        kept(store, name)
    store.chain("me", "a")
    kept(store, "d")
    assert [name for name in "abcd" if store.get("me", name)] == ["a", "c", "d"]


def test_a_chain_loses_its_beginning_before_its_end() -> None:
    store = ResponseStore(most=3)
    kept(store, "other")
    kept(store, "a")
    kept(store, "b", "a")
    store.chain("me", "b")
    kept(store, "c", "b")
    assert store.get("me", "other") is None
    kept(store, "d", "c")
    assert store.get("me", "a") is None
    assert store.get("me", "d") is not None


def test_bytes_are_counted_and_given_back() -> None:
    store = ResponseStore(most_bytes=5_000)
    for number in range(50):
        kept(store, f"r{number}", text="x" * 1_000)
        assert store.size <= 5_000
        assert store.size == sum(one.size for one in store._kept.values())
    assert len(store) == 4
    kept(store, "huge", text="x" * 6_000)
    assert (len(store), store.size, store._holders) == (0, 0, {})


def test_nobody_sees_what_another_made() -> None:
    store = ResponseStore()
    kept(store, "a")
    assert store.get("you", "a") is None
    assert store.item("you", "msg_a") is None
    assert not store.delete("you", "a")
    with pytest.raises(PreviousResponseNotFound):
        store.chain("you", "a")
    kept(store, "b", "a", owner="you")  # names another's response
    with pytest.raises(PreviousResponseNotFound):
        store.chain("you", "b")
    store.put({"id": "c", "output": []}, [{"id": "msg_a", "mine": 1}], owner="you", previous="", conversation="")
    assert store.item("me", "msg_a") == {"id": "msg_a", "text": ""}
    assert store.item("you", "msg_a") == {"id": "msg_a", "mine": 1}


def ask(gateway: Running, given: Any, headers: dict[str, str] | None = None, **body: Any) -> dict[str, Any]:
    return judged(gateway.call("/v1/responses", {"model": "nightschool", "input": given, **body}, headers=headers)[2])


@pytest.mark.parametrize("streamed", [False, True])
def test_a_response_can_be_fetched_listed_and_deleted(gateway: Running, streamed: bool) -> None:
    given = [
        {"role": "developer", "content": "Be kind."},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Yes?", "id": "msg_mine"},
        {"role": "user", "content": [{"type": "input_text", "text": "Go"}]},
    ]
    _, _, body = gateway.call("/v1/responses", {"model": "nightschool", "input": given, "stream": streamed})
    made = stream(body)[-1]["response"] if streamed else judged(body)
    path = f"/v1/responses/{made['id']}"
    assert gateway.get(path) == made
    listed = gateway.get(f"{path}/input_items?order=asc")
    ResponseItemList.model_validate(listed)
    assert [item["role"] for item in listed["data"]] == ["developer", "user", "assistant", "user"]
    assert listed["data"][2]["id"] == "msg_mine"
    page = gateway.get(f"{path}/input_items?limit=2")
    assert [item["id"] for item in page["data"]] == [item["id"] for item in listed["data"][:1:-1]]
    assert page["has_more"]
    rest = gateway.get(f"{path}/input_items?limit=2&after={page['last_id']}")
    assert not rest["has_more"]
    assert rest["data"][-1] == listed["data"][0]
    status, _, body = gateway.call(path, b"", method="DELETE")
    assert (status, msgspec.json.decode(body)) == (200, {"id": made["id"], "object": "response", "deleted": True})
    for method, gone in (("GET", path), ("DELETE", path), ("GET", f"{path}/input_items")):
        status, _, body = gateway.call(gone, b"", method=method)
        assert (status, msgspec.json.decode(body)["error"]["param"]) == (404, "response_id")


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=x", "order=up", "after=nobody"])
def test_a_list_that_cannot_be_is_refused(gateway: Running, query: str) -> None:
    made = ask(gateway, "Hi")
    status, _, body = gateway.call(f"/v1/responses/{made['id']}/input_items?{query}", b"", method="GET")
    assert status == 400
    assert msgspec.json.decode(body)["error"]["message"]
    assert gateway.call(f"/v1/responses/{made['id']}?stream=true", b"", method="GET")[0] == 400


def test_a_chain_carries_items_and_the_conversation_but_no_instructions(gateway: Running, student: Script) -> None:
    one = ask(gateway, "First", {"x-nightschool-conversation": "mine"}, instructions="Be brief.")
    two = ask(gateway, "Second", previous_response_id=one["id"], instructions="Be kind.")
    _, headers, body = gateway.call(
        "/v1/responses", {"model": "nightschool", "input": "Third", "previous_response_id": two["id"]}
    )
    assert judged(body)["previous_response_id"] == two["id"]
    said = [(message["role"], message["content"]) for message in student.asked[-1].body["messages"]]
    assistant = ("assistant", "student")
    assert said == [("user", "First"), assistant, ("user", "Second"), assistant, ("user", "Third")]
    assert gateway.trace(headers)["conversation"] == "mine"


def test_what_is_only_named_counts_for_the_students_context(student: Script, teacher: Script, tmp_path: Path) -> None:
    with Running(tmp_path, student.url, teacher.url, student__context=400) as gateway:
        gateway.wait_ready()
        first = judged(gateway.call("/v1/responses", {"model": "nightschool", "input": "x" * 700})[2])
        question = {"role": "user", "content": "y" * 300}
        for more in (
            {"input": [question], "previous_response_id": first["id"]},
            {"input": [{"type": "item_reference", "id": first_input(gateway, first)}, question]},
        ):
            _, headers, _ = gateway.call("/v1/responses", {"model": "nightschool", **more})
            assert headers["x-nightschool-reason"] == "capability"
        _, headers, _ = gateway.call("/v1/responses", {"model": "nightschool", "input": [question]})
        assert headers["x-nightschool-served-by"] == "student"


def first_input(gateway: Running, response: dict[str, Any]) -> str:
    return str(gateway.get(f"/v1/responses/{response['id']}/input_items")["data"][0]["id"])


def test_items_can_be_sent_by_reference(gateway: Running, student: Script) -> None:
    one = ask(gateway, "First")
    for reference in ({"type": "item_reference", "id": one["output"][0]["id"]}, {"id": one["output"][0]["id"]}):
        ask(gateway, [{"role": "user", "content": "First"}, reference, {"role": "user", "content": "Second"}])
        assert student.asked[-1].body["messages"][1] == {"role": "assistant", "content": "student"}


@pytest.mark.parametrize(("body", "headers"), [({"store": False}, {}), ({}, {"x-nightschool-no-trace": "1"})])
@pytest.mark.parametrize("streamed", [False, True])
def test_what_may_not_be_kept_is_not(
    gateway: Running, body: dict[str, Any], headers: dict[str, str], streamed: bool
) -> None:
    asked = {"model": "nightschool", "input": "Hi", "stream": streamed, **body}
    _, _, answer = gateway.call("/v1/responses", asked, headers=headers)
    made = stream(answer)[-1]["response"] if streamed else judged(answer)
    assert made["store"] is False
    assert gateway.call(f"/v1/responses/{made['id']}", b"", method="GET")[0] == 404
    status, _, answer = gateway.call(
        "/v1/responses", {"model": "nightschool", "input": "Hi", "previous_response_id": made["id"]}
    )
    assert (status, msgspec.json.decode(answer)["error"]["code"]) == (400, "previous_response_not_found")


def test_a_failed_response_is_not_kept_and_nothing_is_on_disk(gateway: Running, teacher: Script) -> None:
    teacher.play(Act(text="twenty characters here", pieces=4, cut=500))
    _, _, body = gateway.call("/v1/responses", {"model": "teacher", "input": "Hi", "stream": True})
    failed = stream(body)[-1]["response"]
    assert gateway.call(f"/v1/responses/{failed['id']}", b"", method="GET")[0] == 404
    made = ask(gateway, "Hi", {"x-nightschool-conversation": "on disk?"}, metadata={"key": "only-in-memory"})
    assert gateway.get(f"/v1/responses/{made['id']}")["metadata"] == {"key": "only-in-memory"}
    files = [path for path in Path(gateway.home).rglob("*") if path.is_file()]
    assert files
    assert not [path for path in files if b"only-in-memory" in path.read_bytes()]


def test_the_client_finds_its_way_around(gateway: Running) -> None:
    with OpenAI(base_url=gateway.url + "/v1", api_key="none", max_retries=0) as client:
        made = client.responses.create(model="nightschool", input="Hi")
        assert client.responses.retrieve(made.id).output_text == made.output_text
        assert [item.type for item in client.responses.input_items.list(made.id)] == ["message"]
        client.responses.delete(made.id)
