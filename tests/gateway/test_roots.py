"""`night.roots`: where agents' repositories may be looked into."""

from __future__ import annotations

from pathlib import Path

import pytest

from distill.workspace import Workspace
from gateway import settings
from gateway.errors import SettingsError
from gateway.nightly import snapshots
from gateway.sections import Settings
from gateway.settings import Home
from tests.distill.gitting import commit, git


def chosen(**environment: str) -> Settings:
    return settings.load(None, environment=environment)


@pytest.mark.parametrize("wrong", ["", "src", "~alice/src", "/srv,./x"])
def test_a_root_is_a_whole_path(wrong: str) -> None:
    with pytest.raises(SettingsError, match=r"night\.roots"):
        chosen(NIGHTSCHOOL_NIGHT_ROOTS=wrong)


def test_snapshots_are_of_the_roots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "alice"))
    shop = tmp_path / "alice" / "shop"
    shop.mkdir(parents=True)
    git(shop, "init", "-q")
    (shop / "a.py").touch()
    workspace = Workspace("/home/user/shop", "shop", commit(shop))
    home = Home(tmp_path / "data", tmp_path / "models")
    for roots, there in (("~", True), (f"/nowhere,{shop}", True), (str(tmp_path / "data"), False)):
        assert (snapshots(chosen(NIGHTSCHOOL_NIGHT_ROOTS=roots), home).of(workspace) is not None) is there
    found = snapshots(chosen(), home).of(workspace)
    assert found is not None
    assert found.root.is_relative_to(tmp_path / "data" / "snapshots")
