"""The gateway's count of a request's tokens, by an engine of its own."""

from __future__ import annotations

from pathlib import Path

import msgspec

from tests.gateway.running import Running, Script


def test_an_engine_that_runs_counts_by_its_template(tiny: Path, teacher: Script, tmp_path: Path) -> None:
    asked = {"model": "nightschool", "messages": [{"role": "user", "content": "Hi"}]}
    with Running(tmp_path, "", teacher.url, student__model=str(tiny)) as gateway:
        _, headers, body = gateway.call("/v1/messages/count_tokens", asked)
        assert headers["x-nightschool-estimated"] == "1"
        assert gateway.chat(model="student", body={"max_tokens": 1})[0] == 200  # which starts it
        _, headers, body = gateway.call("/v1/messages/count_tokens", asked)
    assert "x-nightschool-estimated" not in headers
    said = "<|start|>", "user\nHi", "<|end|>", "<|start|>", "assistant\n"
    tokens = sum(1 if mark.startswith("<|") else len(mark) for mark in said)  # a byte is a token of this model
    assert msgspec.json.decode(body) == {"input_tokens": tokens}
