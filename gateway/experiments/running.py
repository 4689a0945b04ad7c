"""Experiments at work: which arms a conversation has, and with what it is answered for them.

Owns that, and which experiments may begin. What a canary makes of it is canaries'; what came of one is read from the
traces by whoever wants to know.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import structlog

from gateway.answering.promotion import Promotion
from gateway.answering.prompting import Prompting
from gateway.answering.serving import Serving
from gateway.answering.turn import Ask
from gateway.errors import Conflict, NotFound, SettingsError
from gateway.experiments.book import Book, Entry
from gateway.experiments.canaries import PREFIX, Canaries
from router.chat import InvalidRequest
from router.experiment import Experiment, InvalidExperiment, Variant, arm_of, chances, checked, takes_part
from router.policy import in_holdout

_log = structlog.get_logger("experiments")


class Experiments:
    """`prompting` makes a prompt out of its name, `holdout` is the share of conversations that takes no part. One
    experiment of each layer runs at a time."""

    def __init__(
        self,
        book: Book,
        canaries: Canaries,
        promotion: Promotion,
        adapters: Path,
        prompting: Callable[[str], Prompting],
        holdout: Callable[[], float],
    ) -> None:
        self._book = book
        self._canaries = canaries
        self._promotion = promotion
        self._adapters = adapters
        self._make_prompting = prompting
        self._holdout = holdout
        self._prompting: dict[str, Prompting] = {}
        for entry in book.running:
            for arm in entry.experiment.arms:
                if arm.adapter:
                    promotion.expect(arm.adapter, Path(entry.path) if entry.path else adapters / arm.adapter)
                if arm.prompt:
                    self._remember(arm.prompt)

    def serving(self, usual: Callable[[str | None], Serving], ask: Ask) -> Serving:
        """With what a request is answered. `usual` says it of an adapter, None for the live one.

        No part take requests that name who answers, those that may not leave the machine or leave no trace, and
        conversations that always go to the teacher.
        """
        serving = usual(None)
        running = self._book.running
        if not (running and ask.traced and ask.requested is None and ask.rights.may_leave_machine):
            return serving
        if serving.rules.policy != "cascade" or in_holdout(ask.conversation, self._holdout()):
            return serving
        try:
            changed = self._of_arms(running, usual, serving, ask.conversation_key)
            return msgspec.structs.replace(changed, usual=serving)
        except sqlite3.Error as error:  # an experiment must not cost an answer
            _log.error("no part in experiments", error=str(error))
            return serving

    def _of_arms(
        self, running: list[Entry], usual: Callable[[str | None], Serving], serving: Serving, conversation: str
    ) -> Serving:
        arms: dict[str, str] = {}
        variants: list[Variant] = []
        chance = 1.0
        for entry in running:
            experiment = entry.experiment
            if not takes_part(experiment, conversation):
                chance *= 1 - experiment.share
                continue
            wanted = arm_of(experiment, conversation)
            given = self._book.assigned(experiment.name, conversation, wanted.name, chances(experiment)[wanted.name])
            if given.new and entry.canary is not None:
                self._canaries.assigned(given.arm)
            arms[experiment.name] = given.arm
            chance *= given.chance * experiment.share
            variants += [arm for arm in experiment.arms if arm.name == given.arm]
        for variant in sorted(variants, key=lambda variant: variant.adapter is None):  # an adapter has rules of its own
            serving = self._changed(serving, variant, usual)
        return msgspec.structs.replace(serving, arms=arms, chance=chance)

    def _changed(self, serving: Serving, variant: Variant, usual: Callable[[str | None], Serving]) -> Serving:
        """What an arm changes. Where its adapter is gone, that is nothing."""
        if variant.adapter and variant.adapter not in self._promotion.adapters:
            canary = self._canaries.running
            if canary is not None and any(arm.adapter == variant.adapter for arm in canary.experiment.arms):
                self._canaries.lost()
            return serving
        if variant.adapter is not None:
            serving = usual(variant.adapter)
        if variant.prompt in self._prompting:
            serving = msgspec.structs.replace(serving, prompting=self._prompting[variant.prompt])
        return msgspec.structs.replace(serving, rules=variant.over(serving.rules))

    async def start(self, experiment: Experiment) -> Entry:
        """Divide conversations from now on. Raises InvalidRequest, Conflict or BackendError."""
        try:
            checked(experiment)
        except InvalidExperiment as error:
            raise InvalidRequest(f"This is no experiment: {error}.") from error
        if experiment.name.startswith(PREFIX):
            raise InvalidRequest(f"Names that begin with '{PREFIX}' are those of canaries.", "name")
        self._check_free(experiment)
        if any(arm.adapter is not None for arm in experiment.arms):
            self._promotion.check_free()
        for arm in experiment.arms:
            if arm.prompt:
                try:
                    self._prompting[arm.prompt] = self._make_prompting(arm.prompt)
                except SettingsError as error:
                    raise InvalidRequest(f"{error}.", "arms") from error
            if arm.adapter:
                await self._promotion.add(arm.adapter, str(self._adapters / arm.adapter))
        self._check_free(experiment)  # while adapters were loaded another one may have begun
        entry = Entry(experiment, time.time())
        self._book.write(entry)
        return entry

    def _check_free(self, experiment: Experiment) -> None:
        """Raises Conflict where its name is taken, or another one changes the same."""
        if experiment.name in self._book.entries:
            raise Conflict(f"There was an experiment '{experiment.name}' already: give it another name.")
        for entry in self._book.running:
            if entry.experiment.layer == experiment.layer:
                raise Conflict(
                    f"'{entry.experiment.name}' runs, and changes the {experiment.layer}, too: stop it first."
                )

    async def stop(self, name: str) -> Entry:
        """Divide no more. Raises NotFound; a canary is rolled back."""
        entry = self._book.entries.get(name)
        if entry is None:
            raise NotFound(f"There is no experiment '{name[:200]}'.")
        if not entry.running:
            return entry
        if entry.canary is not None:
            self._canaries.roll_back()
            return self._book.entries[name]
        ended = msgspec.structs.replace(entry, state="stopped", ended=time.time(), why="somebody stopped it")
        self._book.write(ended)
        for arm in entry.experiment.arms:
            if arm.adapter and not self.uses(arm.adapter):
                await self._unload(arm.adapter)
        return ended

    def _remember(self, prompt: str) -> None:
        """Have a prompt of an experiment that runs already; where it is gone, its arm changes nothing."""
        try:
            self._prompting[prompt] = self._make_prompting(prompt)
        except SettingsError as error:
            _log.error("prompt not found", prompt=prompt, error=str(error))

    def check_none_exchanges(self) -> None:
        """Raises Conflict where somebody's experiment has conversations answered by other adapters."""
        for entry in self._book.running:
            if entry.canary is None and any(arm.adapter is not None for arm in entry.experiment.arms):
                raise Conflict(f"'{entry.experiment.name}' runs, and changes the adapter: stop it first.")

    def uses(self, adapter: str) -> str:
        """The experiment that runs with an adapter; empty: none."""
        found = (entry.experiment for entry in self._book.running)
        return next((one.name for one in found if any(arm.adapter == adapter for arm in one.arms)), "")

    def told(self) -> list[dict[str, Any]]:
        """All of them, with how many conversations each arm got, oldest first."""
        return [
            {**msgspec.to_builtins(entry), "layer": entry.experiment.layer, "conversations": self._counts(entry)}
            for entry in self._book.entries.values()
        ]

    def _counts(self, entry: Entry) -> Mapping[str, int]:
        counts = self._book.counts(entry.experiment.name)
        return {arm.name: counts.get(arm.name, 0) for arm in entry.experiment.arms}

    async def _unload(self, adapter: str) -> None:
        if self._promotion.live is None or self._promotion.live.adapter != adapter:
            await self._promotion.remove(adapter)
