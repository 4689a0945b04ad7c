"""What of changed settings is taken up while the gateway runs, and what waits for the next start."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.build import Builder
from gateway.changes import possible
from gateway.errors import SettingsError
from gateway.processes.supervisor import Supervisor
from gateway.sections import BackendSettings, GatewaySettings, RouterSettings, Settings
from gateway.settings import Home

FAR = BackendSettings(url="http://one.example/v1")
NEAR = BackendSettings(model="embedded")
NOW = Settings(student=NEAR, teacher=FAR, teachers={"second": FAR, "local": NEAR})


def changed(settings: Any, **more: Any) -> Any:
    return msgspec.structs.replace(settings, **more)


@pytest.fixture
def builder(tmp_path: Path) -> Builder:
    return Builder(Home(tmp_path / "data", tmp_path / "models"), Supervisor())


def test_without_a_change_nothing_is_told() -> None:
    change = possible(NOW, NOW)
    assert (change.settings, change.changed, change.left) == (NOW, [], [])


@pytest.mark.parametrize("name", sorted(set(GatewaySettings.__struct_fields__)))
def test_of_the_gateway_the_address_the_server_the_memory_and_the_log_stay(name: str) -> None:
    now = getattr(NOW.gateway, name)
    other = ["x"] if isinstance(now, list) else now + "x" if isinstance(now, str) else now + 1
    wanted = changed(NOW, gateway=changed(NOW.gateway, **{name: other}))
    change = possible(NOW, wanted)
    stays = name in ("host", "port", "server", "home", "memory_bytes", "log", "log_content")
    assert change.settings == (NOW if stays else wanted)
    assert (change.changed, change.left) == (([], [f"gateway.{name}"]) if stays else ([f"gateway.{name}"], []))


@pytest.mark.parametrize("name", sorted(set(BackendSettings.__struct_fields__) - {"model", "url"}))
def test_of_a_local_model_only_prices_and_context_change(name: str) -> None:
    now = getattr(NEAR, name)
    other = now + "x" if isinstance(now, str) else now + 1
    change = possible(NOW, changed(NOW, student=changed(NEAR, **{name: other}), teacher=changed(FAR, **{name: other})))
    assert f"teacher.{name}" in change.changed
    free = name in ("price_input", "price_output", "daily_limit", "context")
    assert (f"student.{name}" in change.changed, f"student.{name}" in change.left) == (free, not free)


def test_everything_of_the_router_the_night_and_the_aliases_changes() -> None:
    wanted = changed(NOW, router=RouterSettings(confidence=0.9), aliases={"x-*": "teacher"}, profile="remote")
    change = possible(NOW, wanted)
    assert change.settings == wanted
    assert change.changed == ["aliases.claude-*", "aliases.gpt-*", "aliases.x-*", "profile", "router.confidence"]


def test_how_traces_are_kept_and_where_spans_go_stays() -> None:
    wanted = changed(
        NOW, traces=changed(NOW.traces, keep_days=3.0), telemetry=changed(NOW.telemetry, otlp_endpoint="http://c:4318")
    )
    change = possible(NOW, wanted)
    assert (change.settings, change.changed) == (NOW, [])
    assert change.left == ["telemetry.otlp_endpoint", "traces.keep_days"]


def test_an_endpoint_may_be_exchanged_a_local_model_may_not() -> None:
    other = BackendSettings(url="http://two.example/v1", price_input=3.0)
    change = possible(NOW, changed(NOW, student=other, teacher=other))
    assert change.settings == changed(NOW, teacher=other)
    assert change.changed == ["teacher.price_input", "teacher.url"]
    assert {"student.model", "student.url", "student.price_input"} == set(change.left)
    change = possible(NOW, changed(NOW, teacher=BackendSettings(model="expert")))
    assert (change.settings, change.left) == (NOW, ["teacher.model", "teacher.url"])


def test_teachers_with_a_url_come_and_go() -> None:
    other = BackendSettings(url="http://two.example/v1")
    wanted = changed(NOW, teachers={"third": other, "fourth": NEAR})
    change = possible(NOW, wanted)
    assert change.settings.teachers == {"third": other, "local": NEAR}
    assert change.changed == ["teachers.second", "teachers.third"]
    assert change.left == ["teachers.fourth", "teachers.local"]


def test_only_who_is_set_otherwise_is_made_anew(builder: Builder) -> None:
    now = Settings(student=FAR, teacher=FAR, teachers={"second": FAR})
    crew = builder.crew(now)
    same = builder.crew(changed(now, teacher=changed(FAR, price_input=2.0, context=9)), crew)
    assert same.arms == crew.arms
    other = builder.crew(changed(now, teacher=changed(FAR, silence=9.0)), same)
    assert [one is another for one, another in zip(other.arms, crew.arms, strict=True)] == [True, False, True]
    turned = builder.crew(changed(now, teachers={"third": FAR, "second": FAR}), crew)
    assert turned.teachers.arms[2] is crew.teachers.arms[1]


def test_a_teacher_that_comes_back_finds_its_account(builder: Builder) -> None:
    with_second = Settings(student=FAR, teacher=FAR, teachers={"second": changed(FAR, price_input=1.0)})
    first = builder.crew(with_second)
    first.teachers.spends["second"].add(1_000_000, 0)
    between = builder.crew(changed(with_second, teachers={}), first)
    assert "second" not in between.teachers.spends
    assert builder.crew(with_second, between).teachers.spends["second"].today.spent == 1.0


def test_a_crew_that_cannot_be_made_leaves_the_old_one(builder: Builder) -> None:
    now = Settings(student=FAR, teacher=FAR)
    crew = builder.crew(now)
    with pytest.raises(SettingsError, match="NO_SUCH_KEY"):
        builder.crew(changed(now, teacher=changed(FAR, api_key_env="NO_SUCH_KEY")), crew)
    assert builder.crew(now, crew).arms == crew.arms
