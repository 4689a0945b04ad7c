"""Which of the assistant's messages a rendered conversation teaches."""

from __future__ import annotations

from distill.render import Renderer
from router.chat import FunctionSpec, Message, Tool

_TOOLS = [Tool(FunctionSpec("read_file", "Reads."))]


def test_only_chosen_messages_are_learnt_and_the_tokens_stay(renderer: Renderer) -> None:
    messages = [
        *(Message("system", "S"), Message("developer", "D"), Message("user", "a"), Message("assistant", "one")),
        *(Message("user", "b"), Message("system", "Mind."), Message("assistant", "two"), Message("user", "c")),
        *(Message("assistant", "three"), Message("user", "d")),
    ]
    whole = renderer.segments(messages, _TOOLS)
    for chosen in ([3], [6, 8], [], [3, 6, 8], [0, 1, 2, 6, 99]):
        cut = renderer.segments(messages, _TOOLS, learnt=chosen)
        assert [s.ids for s in cut] == [s.ids for s in whole]
        wanted = [f"{messages[at].text}<|im_end|>" for at in chosen if at in (3, 6, 8)]
        assert [renderer.decode(s.ids) for s in cut if s.learnt] == wanted
    assert renderer.segments(messages, _TOOLS) == whole
    opening = [Message("assistant", "zero"), *messages[2:]]
    cut = renderer.segments(opening, None, learnt=[0, 5])
    assert [renderer.decode(s.ids) for s in cut if s.learnt] == ["two<|im_end|>"]
