"""What a night may take of its teacher, in tokens, is asked for and no more."""

from __future__ import annotations

import pytest

from distill.day import Day, DayError
from router.chat import ChatRequest, Message
from tests.gateway.running import Script


async def test_once_its_tokens_are_taken_the_teacher_is_asked_no_more() -> None:
    request = ChatRequest("teacher", [Message("user", "Hi")])
    with Script() as teacher:
        async with Day(teacher.url.removesuffix("/v1"), "key") as day:
            await day.answer(request, stays=False)
            one = day.spent
            assert one > 0
            day.allow(2 * one, spent=one)  # a night that was killed took some already
            await day.answer(request, stays=False)
            with pytest.raises(DayError, match=r"night\.teacher_tokens"):
                await day.answer(request, stays=False)
            assert day.spent == 2 * one
            day.allow(0)
            await day.answer(request, stays=False)
    assert len(teacher.asked) == 3
