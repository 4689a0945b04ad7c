"""Fates: what becomes of each example, and why. Owns the reason codes and their count; decides nothing."""

from __future__ import annotations

import numpy as np

# By the stage that decides. "kept" holds those that are in the dataset.
STAGES: dict[str, tuple[str, ...]] = {
    "undecided": ("undecided",),
    "kept": ("train", "valid"),
    "checks": ("unreadable", "too_large", "reserved", "shared_words", "shared_whole"),
    "duplicates": ("exact_duplicate", "near_duplicate"),
    "split": ("held_out",),
    "shares": ("over_category", "over_conversation", "over_repository", "over_client", "over_replay"),
    "size": ("over_size",),
}
FATE = {fate: number for number, fate in enumerate(fate for fates in STAGES.values() for fate in fates)}


class Fates:
    """The fates of examples by their place in the input. `codes` are numbers of FATE."""

    def __init__(self, codes: np.ndarray) -> None:
        self.codes = np.array(codes, dtype=np.uint8)

    def open(self, places: np.ndarray) -> np.ndarray:
        """Of these places, in their order, those that nothing was decided of."""
        found: np.ndarray = places[self.codes[places] == FATE["undecided"]]
        return found

    def drop(self, places: np.ndarray, dropped: np.ndarray, fate: str) -> np.ndarray:
        """Gives a fate to those of the places where `dropped` is true, and returns the others in their order."""
        self.settle(places[dropped], fate)
        left: np.ndarray = places[~dropped]
        return left

    def settle(self, places: np.ndarray, fate: str) -> None:
        self.codes[places] = FATE[fate]

    def counts(self) -> dict[str, dict[str, int]]:
        """By stage and reason, how many examples were dropped."""
        found = np.bincount(self.codes, minlength=len(FATE))
        return {
            stage: {fate: int(found[FATE[fate]]) for fate in fates if found[FATE[fate]]}
            for stage, fates in STAGES.items()
            if stage not in ("undecided", "kept")
        }
