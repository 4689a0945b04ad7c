"""The redactor: secrets and personal data out of texts, JSON values, traces and outcomes, before anything is stored.

Owns what is put in for what was found, the search for a secret in the rest of the trace that gave it away once, and
what of a trace goes because it encodes a text that was changed. Rules and placeholders are elsewhere in the package.

Redacting twice changes nothing more: no rule finds a placeholder (see `placeholder`), and a text is looked through
again after each change until nothing is found in it. Names of people, postal addresses and dates of birth are not
looked for.
"""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import quote

import msgspec

from distill.outcome import Outcome
from distill.redact.encoded import ids_digest, served_text, tokens_text, without_raw
from distill.redact.find import find_beside, says
from distill.redact.likeness import begins, has_sign
from distill.redact.literals import Literals
from distill.redact.placeholder import Placeholders
from distill.redact.seen import NOTHING, Findings, Seen, text_key
from distill.redact.span import Span, disjoint
from distill.redact.walk import changed
from distill.trace import Draft, Trace

_ROUNDS = 8  # through one text; two do, unless it was made to need more
_SEARCHED = 512  # characters of the longest secret that is looked for in the rest of a trace
_LITERAL = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"(?P<colon>\s*+:)?|(?<![\w.+-])[1-9]\d{8,}+(?![\w.])', re.DOTALL)


class Redactor:
    """Safe to share between threads. `key` has 32 bytes; the same key gives the same placeholders. Raises ValueError
    for a key of another length."""

    def __init__(self, key: bytes) -> None:
        self._placeholders = Placeholders(key)
        self._seen = Seen()

    def text(self, text: str) -> str:
        """The text without secrets; the very same object where there was none."""
        made: str = self._redacted(text)[0]
        return made

    def value(self, value: Any) -> Any:
        """A JSON value without secrets, keys included; the same object where there was none."""
        return self._redacted(value)[0]

    def outcome(self, outcome: Outcome) -> Outcome:
        """Comment and answers without secrets, and without what encodes a text that had some."""
        made: Outcome
        made, findings = self._redacted(outcome)
        if outcome.draft is not None and made.draft is not None:
            made = msgspec.structs.replace(made, draft=self._draft(outcome.draft, made.draft, findings))
        return made

    def trace(self, trace: Trace) -> Trace:
        """The trace without secrets, and without what encodes a text that had some; the same object where none did."""
        made: Trace
        made, findings = self._redacted(trace)
        draft, note = made.draft, made.note
        if trace.draft is not None and draft is not None:
            draft = self._draft(trace.draft, draft, findings)
        if note is not None and (made.answer is not trace.answer or note is not trace.note):
            note = without_raw(note)
        if not findings.placeholders:
            return trace
        count = trace.redacted + len(findings.placeholders)
        made = msgspec.structs.replace(made, draft=draft, note=note, redacted=count)
        if trace.served is not None and served_text(made) != served_text(trace):
            made = msgspec.structs.replace(made, served=None, served_digest=ids_digest(trace.served))
        return made

    def _draft(self, draft: Draft, made: Draft, findings: Findings) -> Draft:
        """A draft's log-probabilities carry its text once more, and what else could have been said."""
        if draft.logprobs:
            told = Findings()
            said = tokens_text(draft.logprobs)
            clean = self._one(said, "", told) is said and _replaced(said, findings.known) is said
            findings.add(told)
            if not clean or made.message is not draft.message or made.note is not draft.note:
                made = msgspec.structs.replace(made, logprobs=None)
        if made is not draft and made.note is not None:
            made = msgspec.structs.replace(made, note=without_raw(made.note))
        return made

    def _redacted(self, value: Any) -> tuple[Any, Findings]:
        """A value of any kind and what was found in it. What was found by what stands around it is then looked for
        in all of it, which is a search for substrings, so that texts that were seen before cost no more than that."""
        findings = Findings()
        made = changed(value, lambda text, name: self._one(text, name, findings))
        if findings.known:
            literals = Literals(list(findings.known))
            made = changed(made, lambda text, _: _replaced(text, findings.known, literals))
        return made, findings

    def _one(self, text: str, name: str, findings: Findings) -> str:
        """One text, by its own words and by the name that it stands under."""
        if says(name):
            return self._looked_through(text, name, findings)
        key = text_key(text)
        if (seen := self._seen.get(key)) is None:
            own = Findings()
            seen = (self._looked_through(text, "", own), own)
            seen = seen if own.placeholders else NOTHING
            self._seen.keep(key, seen)
        made, own = seen
        findings.add(own)
        return text if made is None else made

    def _looked_through(self, text: str, name: str, findings: Findings) -> str:
        spans = find_beside(name, text)
        if not spans and "\\" not in text:
            return text
        if not _is_json(text):
            return self._plain(text, name, spans, findings)
        made = self._json(text, name, findings)
        across = Findings()  # what is told only by what stands in two strings
        more = self._plain(made, name, find_beside(name, made), across)
        if more is made or not _is_json(more):
            return made
        findings.add(across)
        return more

    def _plain(self, text: str, name: str, spans: list[Span], findings: Findings) -> str:
        for _ in range(_ROUNDS):
            if not spans:
                break
            text = self._put_in(text, spans, findings)
            spans = find_beside(name, text)
        return text

    def _put_in(self, text: str, spans: list[Span], findings: Findings) -> str:
        parts, end = [], 0
        for span in spans:
            secret = text[span.start : span.end]
            placeholder = span.instead or self._placeholders.of(secret)
            if not span.follows:
                findings.placeholders.add(placeholder)
            if span.contextual and _can_stand_alone(secret):
                findings.known |= dict.fromkeys(_spellings(secret), placeholder)
            parts += [text[end : span.start], placeholder]
            end = span.end
        return "".join([*parts, text[end:]])

    def _json(self, text: str, name: str, findings: Findings) -> str:
        """JSON text, string by string as it decodes, with everything between them left as it is."""

        def replace(found: re.Match[str]) -> str:
            nonlocal name
            literal, colon = found[0], found["colon"] or ""
            if literal[0] != '"':
                made = self._one(literal, name, findings)
                return made if made.isdigit() else literal
            literal = literal.removesuffix(colon)
            told = json.loads(literal, strict=False)
            made = self._one(told, "" if colon else name, findings)
            if colon:
                name = told
            if made is told:
                return found[0]
            return json.dumps(made, ensure_ascii=literal.isascii() or "\\u" in literal) + colon

        made = _LITERAL.sub(replace, text)
        return text if made == text else made


def _is_json(text: str) -> bool:
    """Whether a text is a JSON object or list."""
    bare = text.strip()
    if bare[:1] + bare[-1:] not in ("{}", "[]"):
        return False
    try:
        json.loads(bare, strict=False, parse_int=str, parse_float=str)  # takes lone surrogates and numbers of any size
    except (ValueError, RecursionError):
        return False
    return True


def _can_stand_alone(secret: str) -> bool:
    """Whether a secret is told from a word of the language where nothing is around it."""
    letters, digits = any(map(str.isalpha, secret)), sum(map(str.isdigit, secret))
    return 6 <= len(secret) <= _SEARCHED and (digits >= 8 or (letters and (digits > 0 or has_sign(secret))))


def _spellings(secret: str) -> set[str]:
    """A secret as it is, in JSON, and in an address."""
    inside = {json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}
    return {secret, *inside, quote(secret, safe="", errors="replace")}


def _replaced(text: str, known: dict[str, str], literals: Literals | None = None) -> str:
    """The text without those of the known secrets that stand in it as words of their own."""
    if not known:
        return text
    secrets = list(known)
    found = (literals or Literals(secrets)).find(text)
    spans = disjoint(
        Span(start, end, instead=known[secrets[number]])
        for number, start, end in found
        if begins(text, start) and not text[end : end + 1].isalnum()
    )
    if not spans:
        return text
    parts, end = [], 0
    for span in spans:
        parts += [text[end : span.start], str(span.instead)]
        end = span.end
    return "".join([*parts, text[end:]])
