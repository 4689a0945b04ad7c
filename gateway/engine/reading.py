"""A growing text taken apart into thoughts, content and tool calls, each given out as soon as it is certain.

Owns what belongs where: thoughts end at their mark; a call that a model writes without ever ending its thoughts is a
call all the same once the turn is over. White space around thoughts and before and after calls is dropped, nothing
else is. Whatever the pieces a text comes in, they add up to the same. Knows nothing of tokens or requests.
"""

from __future__ import annotations

import msgspec

from gateway.engine.toolcalls.form import Ending, Form, Found, begun
from router.chat import FunctionCall

_OVERLAP = 32  # characters: no end mark of a call is longer
_LONG = 256  # characters of a call that are looked through again whenever anything comes


class Thought(msgspec.Struct, frozen=True):
    text: str


class Said(msgspec.Struct, frozen=True):
    text: str


Piece = Thought | Said | FunctionCall


class Parsed(msgspec.Struct):
    """What has been read so far."""

    content: str = ""
    reasoning: str = ""
    calls: list[FunctionCall] = []

    def take(self, pieces: list[Piece]) -> None:
        for piece in pieces:
            match piece:
                case Said(text):
                    self.content += text
                case Thought(text):
                    self.reasoning += text
                case FunctionCall():
                    self.calls.append(piece)


class Reader:
    """Reads one answer. Without a `form` nothing is a call, without `thoughts` (their two marks) nothing is a thought.

    `thinking`: the prompt has opened the model's thoughts already.
    """

    def __init__(self, form: Form | None, thoughts: tuple[str, str] | None = None, *, thinking: bool = False) -> None:
        self._form = form
        self._marks = thoughts
        self._begun = thoughts is None  # whether it is known if the answer begins with thoughts
        self._thinking = thinking and thoughts is not None
        self._at = 0  # everything before it is given out, or is white space in `_gap`
        self._seen = 0
        self._gap = ""
        self._fresh = True  # nothing but white space since thoughts, or the answer, began
        self._called = False

    @property
    def thinking(self) -> bool:
        """Whether what comes may be a thought."""
        return self._thinking or not self._begun

    @property
    def at(self) -> int:
        """Up to where the text is given out."""
        return self._at

    def feed(self, text: str, ending: Ending = Ending.OPEN) -> list[Piece]:
        """What became certain, now that the answer has grown to `text`."""
        pieces: list[Piece] = []
        if self._wait(text, ending):
            return pieces
        if not self._begun:
            self._begin(text, ending)
        if self._begun and self._thinking:
            pieces += self._think(text, ending)
        if self._begun and not self._thinking:
            pieces += self._speak(text, ending)
        if ending is not Ending.OPEN:
            pieces += self._last()
        return pieces

    def _wait(self, text: str, ending: Ending) -> bool:
        """Whether a long call is still on its way: nothing that could end it has come."""
        new, self._seen = text[max(0, self._seen - _OVERLAP) :], len(text)
        if ending is not Ending.OPEN or self._form is None or self._thinking or len(text) - self._at < _LONG:
            return False
        return not any(end in new for end in self._form.endings)

    def _begin(self, text: str, ending: Ending) -> None:
        """Find out whether the answer begins with the mark of thoughts. One in the prompt may be repeated."""
        assert self._marks is not None  # for mypy
        opening = self._marks[0]
        start = len(text) - len(text.lstrip())
        if text.startswith(opening, start):
            self._thinking = True
            self._at = start + len(opening)
        elif ending is Ending.OPEN and opening.startswith(text[start:]):
            return
        self._begun = True

    def _think(self, text: str, ending: Ending) -> list[Piece]:
        assert self._marks is not None  # for mypy
        closing = self._marks[1]
        end = text.find(closing, self._at)
        if end >= 0:
            thought = self._thought(text[self._at : end])
            self._speak_from(end + len(closing))
            return thought
        if ending is Ending.OPEN:
            return self._thought_until(text, self._held(text, closing))
        found = self._call_in_thoughts(text) if ending is Ending.WHOLE else None
        if found is None:
            return self._thought_until(text, len(text))
        thought = self._thought(text[self._at : found.start])
        self._speak_from(found.start)
        return thought

    def _held(self, text: str, closing: str) -> int:
        """Up to where the text is thought for certain: what may be the only call of the turn waits for its end."""
        end = begun(text, (closing,))
        if self._form is None:
            return end
        marks = [at for opening in self._form.openings if (at := text.find(opening, self._at)) >= 0]
        return min([end, begun(text, self._form.openings), *marks])

    def _call_in_thoughts(self, text: str) -> Found | None:
        openings = self._form.openings if self._form else ()
        first = min((at for opening in openings if (at := text.find(opening, self._at)) >= 0), default=-1)
        if self._form is None or first < 0:
            return None
        found = self._form.find(text, first, Ending.WHOLE)
        return found if isinstance(found, Found) else None

    def _thought_until(self, text: str, end: int) -> list[Piece]:
        piece, self._at = text[self._at : end], max(self._at, end)
        return self._thought(piece)

    def _thought(self, text: str) -> list[Piece]:
        return [Thought(given)] if (given := self._given(text)) else []

    def _speak_from(self, at: int) -> None:
        self._at, self._gap, self._fresh, self._thinking = at, "", True, False

    def _speak(self, text: str, ending: Ending) -> list[Piece]:
        pieces: list[Piece] = []
        while True:
            found = self._form.find(text, self._at, ending) if self._form else len(text)
            end = found.start if isinstance(found, Found) else max(found, self._at)
            if given := self._given(text[self._at : end]):
                pieces.append(Said(given))
            if not isinstance(found, Found):
                self._at = end
                return pieces
            pieces += found.calls
            self._called = True
            self._at = found.end
            self._gap = "" if self._fresh else self._gap

    def _given(self, text: str) -> str:
        """`text` behind the white space that was kept back, its own at the end kept back in turn."""
        text = self._gap + text
        if self._fresh and self._trims:
            text = text.lstrip()
        kept = text.rstrip()
        self._gap = text[len(kept) :]
        self._fresh = self._fresh and not kept
        return kept

    @property
    def _trims(self) -> bool:
        """Whether white space in front is form: in thoughts, behind them, behind a call."""
        return self._thinking or self._called or self._marks is not None

    def _last(self) -> list[Piece]:
        """White space at the end of an answer that is nothing but content."""
        gap, self._gap = self._gap, ""
        return [Said(gap)] if gap and not self._thinking and not self._called and self._begun else []


def parse(text: str, reader: Reader, ending: Ending = Ending.WHOLE) -> Parsed:
    """A finished text, read at once."""
    parsed = Parsed()
    parsed.take(reader.feed(text, ending))
    return parsed
