"""Mixture: what a dataset is made of, as settings. Owns the defaults; knows nothing of how they are applied."""

from __future__ import annotations

import msgspec


class Mixture(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Shares lie between 0 and 1; 1 is no limit.

    A limit on a share binds where there are at least twice as many groups as it needs (for a tenth: twenty), and only
    as far as `least` examples are left: somebody with one key and one repository learns from all of it, and a small
    dataset is not cut to nothing by its smallest groups.
    """

    valid: float = 0.05  # examples held out of the training, as a share
    group: float = 0.1  # of one key, one conversation, one repository
    category: float = 0.3  # of one category
    replay: float = 0.12  # of earlier datasets' examples
    least: int = 1000  # examples that limits on shares leave
    examples: int = 20_000  # at most, replayed ones included
    total_bytes: int = 400_000_000  # at most, of all lines; about four bytes a token
    example_bytes: int = 262_144  # at most, of a line

    def __post_init__(self) -> None:
        """Raises ValueError for shares that no dataset can have."""
        if not all(0 < share <= 1 for share in (self.group, self.category)):
            raise ValueError("the shares of a group and of a category lie above 0 and at most at 1")
        if not all(0 <= share < 1 for share in (self.valid, self.replay)):
            raise ValueError("the shares that are held out and replayed lie at 0 or above, below 1")
