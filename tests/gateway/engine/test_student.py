"""The engine with the embedded student itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.engine.chat import answer, prepare
from gateway.engine.served import ServedModel
from router.chat import parse_request

pytestmark = pytest.mark.model


async def test_the_student_knows_the_capital_of_france_and_its_prompt_is_kept(student_folder: Path) -> None:
    served = ServedModel("smollm2-135m", student_folder)
    await served.open()
    question = {"role": "user", "content": "What is the capital of France?"}
    body = {"model": "smollm2-135m", "messages": [question], "temperature": 0, "max_tokens": 16}
    first = await answer(await prepare(served, parse_request(body)))
    again = await answer(await prepare(served, parse_request(body)))
    await served.close()
    assert "Paris" in (first.choices[0].message.content or "")
    assert again.choices[0].message == first.choices[0].message
    assert again.usage is not None
    assert again.usage.prompt_tokens_details == {"cached_tokens": again.usage.prompt_tokens - 1}
