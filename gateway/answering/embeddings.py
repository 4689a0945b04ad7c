"""Embeddings: asked of a teacher that makes them, or of the student where it is named.

Owns who is asked in which order, and that it is paid for. Nothing of it is traced. Knows nothing of HTTP.
"""

from __future__ import annotations

from typing import Any

import msgspec

from gateway.access.keys import Rights
from gateway.answering.arms import Arm
from gateway.answering.counting import tokens_in
from gateway.backends.patience import is_fault
from gateway.build import Crew
from gateway.errors import BackendBroken, BackendError, BackendRefused, MayNotLeave, NotFound
from router.decision import Arm as ArmName

_MAKES_NONE = (404, 405, 501)  # what a server says that has no such route


class Embedded(msgspec.Struct, frozen=True):
    """An answer as its backend sent it, and whose it is."""

    body: bytes
    arm: ArmName


class _Usage(msgspec.Struct):
    prompt_tokens: float


class _Answer(msgspec.Struct):
    data: msgspec.Raw
    usage: _Usage | None = None


async def embed(asked: dict[str, Any], who: tuple[ArmName | None, str], rights: Rights, crew: Crew) -> Embedded:
    """The embeddings that were asked for; `who` is the arm and the model that the request names, as Names tells it.

    Raises GatewayError where nobody makes them.
    """
    requested, model = who
    arms = _student(crew, rights) if requested == "student" else crew.teachers.willing(model, rights, "embeddings")
    able = [arm for arm in arms if not arm.local]  # our own servers make none
    if not able:
        raise NotFound("Nobody here makes embeddings: they are asked of a teacher with a 'url'.")
    for arm in able[:-1]:
        try:
            return await _ask(arm, asked, model, crew)
        except BackendError as error:
            if not (is_fault(error) or (isinstance(error, BackendRefused) and error.status in _MAKES_NONE)):
                raise
    return await _ask(able[-1], asked, model, crew)


def _student(crew: Crew, rights: Rights) -> list[Arm]:
    if crew.student.remote and not rights.may_leave_machine:
        raise MayNotLeave("This request may not leave the machine, and the student is elsewhere.")
    return [crew.student]


async def _ask(arm: Arm, asked: dict[str, Any], model: str, crew: Crew) -> Embedded:
    await arm.ready()
    body = msgspec.json.encode({**asked, "model": model or arm.embeddings or arm.model})
    raw = await arm.backend.embed(body)
    try:
        answer = msgspec.json.decode(raw, type=_Answer)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BackendBroken(f"The model's answer is no list of embeddings: {error}") from error
    if arm.name == "teacher":
        crew.teachers.charge(arm.label, answer.usage.prompt_tokens if answer.usage else tokens_in(len(body)))
    return Embedded(raw, arm.name)
