"""The model names on offer, and what each stands for. Knows nothing of who may have which: it is told."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable
from typing import Any

from gateway.answering.arms import Arm
from gateway.answering.promotion import Promotion
from gateway.answering.teachers import Teachers
from gateway.errors import UnknownModel
from router.decision import Arm as ArmName


class Names:
    """Of one student and its teachers; `aliases` are patterns of names that stand for others."""

    def __init__(self, student: Arm, teachers: Teachers, promotion: Promotion, aliases: dict[str, str]) -> None:
        self._student = student
        self._teachers = teachers
        self._promotion = promotion
        self._aliases = aliases

    def resolve(self, name: str, allowed: Callable[[str], bool]) -> tuple[ArmName | None, str]:
        """The arm a name asks for (None: the router chooses) and the model to ask its backend for ("": its own).

        `allowed` says of each name on offer whether this client may have it. Raises UnknownModel.
        """
        offered, found = name, self._find(name)
        if found is None:
            pattern = next((pattern for pattern in self._aliases if fnmatch.fnmatchcase(name, pattern)), "")
            offered = self._aliases.get(pattern, "")
            found = self._find(offered)
        if found is None or not allowed(offered):
            raise UnknownModel(f"There is no model '{name}'; GET /v1/models lists what there is.", param="model")
        return found

    def _find(self, name: str) -> tuple[ArmName | None, str] | None:
        if name == "nightschool":
            return None, ""
        if name in ("student", "teacher"):
            return ("student" if name == "student" else "teacher"), ""
        if name and (name == self._student.base or name in self._promotion.adapters):
            return "student", name
        if name and name in self._of_teachers():
            return "teacher", name
        return None

    def listed(self, allowed: Callable[[str], bool]) -> list[dict[str, Any]]:
        """As GET /v1/models tells them."""
        own = ["nightschool", "student", "teacher", self._student.base, *self._of_teachers()]
        adapters = [
            (name, {"parent": self._student.base, "root": str(path)}) for name, path in self._promotion.adapters.items()
        ]
        known: dict[str, dict[str, Any]] = {**{name: {} for name in own if name}, **dict(adapters)}
        return [
            {"id": name, "object": "model", "created": self._promotion.started, "owned_by": "nightschool", **more}
            for name, more in known.items()
            if allowed(name)
        ]

    def _of_teachers(self) -> list[str]:
        return [name for arm in self._teachers.arms for name in (arm.base, arm.embeddings)]
