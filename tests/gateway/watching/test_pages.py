"""The metrics' names are the same in the code, in docs/watching.md and on the dashboard."""

from __future__ import annotations

import re

import msgspec
import pytest

from gateway.sections import BackendSettings, Settings
from gateway.service import Gateway
from gateway.settings import Home
from tests.gateway.running import ROOT

_PAGE = ROOT / "docs" / "watching.md"
_DASHBOARD = ROOT / "deploy" / "grafana" / "nightschool.json"
_NAME = re.compile(r"\bnightschool_\w+")


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The kind of each metric that a gateway tells, by its name."""
    home = tmp_path_factory.mktemp("home")
    settings = Settings(teacher=BackendSettings(url="http://127.0.0.1:9/v1"))
    gateway = Gateway(settings, Home(home / "data", home / "models"), lambda: settings)
    kinds = dict(re.findall(r"^# TYPE (\w+) (\w+)$", gateway.metrics.page().decode(), re.MULTILINE))
    return {name: kind for name, kind in kinds.items() if not name.endswith("_created")}


def samples(told: dict[str, str]) -> set[str]:
    """What an expression may name."""
    parts = {"histogram": ("_bucket", "_sum", "_count")}
    return {name + part for name, kind in told.items() for part in parts.get(kind, ("",))}


def test_every_metric_is_documented_and_no_other(told: dict[str, str]) -> None:
    rows = re.findall(r"^\| `(nightschool_\w+)` \|", _PAGE.read_text(), re.MULTILINE)
    assert sorted(rows) == sorted(told)


def test_alerts_name_what_there_is(told: dict[str, str]) -> None:
    expressions = re.findall(r"^ +expr: (.*)$", _PAGE.read_text(), re.MULTILINE)
    assert len(expressions) > 1
    assert all(_NAME.findall(one) and set(_NAME.findall(one)) <= samples(told) for one in expressions)


def test_the_dashboard_shows_every_metric_and_no_other(told: dict[str, str]) -> None:
    panels = msgspec.json.decode(_DASHBOARD.read_bytes())["panels"]
    expressions = [target["expr"] for panel in panels for target in panel["targets"]]
    named = {name for one in expressions for name in _NAME.findall(one)}
    assert named <= samples(told)
    assert {re.sub(r"_bucket$", "", name) for name in named} == set(told)
    assert len({panel["id"] for panel in panels}) == len(panels)
    for one in expressions:
        assert one.count("(") == one.count(")")


def test_labels_on_the_dashboard_and_in_alerts_are_those_of_their_metrics(told: dict[str, str]) -> None:
    labels = {
        row: set(re.findall(r"`(\w+)`", cell))
        for row, cell in re.findall(r"^\| `(nightschool_\w+)` \| ([^|]*) \|", _PAGE.read_text(), re.MULTILINE)
    }
    texts = [_PAGE.read_text(), msgspec.json.encode(msgspec.json.decode(_DASHBOARD.read_bytes())).decode()]
    for name, chosen in re.findall(r"(nightschool_\w+)\{([^}]*)\}", "\n".join(texts)):
        metric = re.sub(r"_(bucket|sum|count)$", "", name)
        assert set(re.findall(r"(\w+)=", chosen)) <= labels[metric], (name, chosen)
