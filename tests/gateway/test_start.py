"""What keeps `nightschool serve` from starting: one clear line that says what to do, and exit code 1."""

from __future__ import annotations

import shlex
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.gateway.running import Running, Script, environment, free_port, nightschool

URLS = '[student]\nurl = "http://127.0.0.1:9/v1"\n[teacher]\nurl = "http://127.0.0.1:9/v1"\n'


def told(home: Path, *options: str, settings: str | None = None, **variables: str) -> str:
    """The one line that `serve` ends with."""
    if settings is not None:
        (home / "nightschool.toml").write_text(settings)
    done = nightschool("serve", *options, home=home, **variables)
    lines = done.stderr.strip().splitlines()
    assert done.returncode == 1, done
    assert len(lines) == 1, done.stderr
    return lines[0]


def test_without_settings_nothing_starts_and_init_is_named(tmp_path: Path) -> None:
    line = told(tmp_path)
    assert "nightschool init" in line
    assert "--profile embedded" in line


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ("[gateway\n", "not valid TOML"),
        ("[gateway]\nprot = 1\n", "'gateway.prot' (did you mean 'gateway.port'?)"),
        ("[studnet]\n", "'studnet' (did you mean 'student'?)"),
        ('[gateway]\nport = "many"\n', "gateway.port"),
        ("gateway = 3\n", "gateway"),
        ("[gateway]\nport = 0\n", "between 1 and 65535"),
        ('[router]\npolicy = "coin"\n', "router.policy"),
        ("[router]\nholdout = 2\n", "router.holdout"),
        ('[student]\nmodel = "a"\nurl = "http://x/v1"\n', "both"),
        ('[student]\nurl = "127.0.0.1:9"\n', "http://"),
        ('[student]\nmodel = "no-such-model"\n[teacher]\nurl = "http://127.0.0.1:9/v1"\n', "no-such-model"),
        ('[student]\nmodel = "qwen2.5-coder-7b"\n[teacher]\nurl = "http://127.0.0.1:9/v1"\n', "missing or empty"),
        ('[student]\nurl = "http://127.0.0.1:9/v1"\n', "[teacher]"),
        (URLS + 'api_key_env = "NO_SUCH_KEY"\n', "NO_SUCH_KEY"),
        ('profile = "mac23"\n', "did you mean 'mac32'"),
        (URLS + '[gateway]\nhost = "0.0.0.0"\n', "nightschool keys add"),
        (URLS + "[night]\nsamples = 1\n", "night.samples must be 0, or 2 or more"),
        (URLS + "daily_limit = 5\n", "teacher.price_input"),
        (URLS + "price_input = -1\n", "teacher.price_input"),
        ('[student]\nurl = "http://127.0.0.1:9/v1"\nprice_input = 1\n', "only the teacher's"),
        (URLS + "[gateway]\nmax_at_once = -1\n", "gateway.max_at_once"),
    ],
)
def test_wrong_settings_are_named(tmp_path: Path, settings: str, words: str) -> None:
    assert words in told(tmp_path, settings=settings)


def test_a_settings_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert "none.toml" in told(tmp_path, "--config", "none.toml")


def test_a_variable_with_an_unknown_name_is_named(tmp_path: Path) -> None:
    assert "gateway.prot" in told(tmp_path, settings=URLS, NIGHTSCHOOL_GATEWAY_PROT="1")


def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert f"port {port}" in told(tmp_path, "--port", port, settings=URLS).splitlines()[-1]


def test_a_data_folder_that_is_no_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    assert "NIGHTSCHOOL_HOME" in told(tmp_path, settings=URLS)


def test_a_disk_without_room_is_said(tmp_path: Path) -> None:
    """Files of this process may grow to no more than 8 kB, which is what a full disk looks like to it."""
    (tmp_path / "nightschool.toml").write_text(URLS)
    command = f"ulimit -f 8 && exec {shlex.quote(sys.executable)} -B -m gateway.cli serve"
    done = subprocess.run(
        ["sh", "-c", command], env=environment(tmp_path), cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "NIGHTSCHOOL_HOME" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_a_damaged_live_pointer_is_named(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "live.json").write_text("{")
    assert "live.json" in told(tmp_path, settings=URLS)


def test_a_damaged_pin_is_named(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "pin.json").write_text("[]")
    assert "pin.json" in told(tmp_path, settings=URLS)


@pytest.mark.parametrize(
    ("name", "content"), [("keys.json", "{"), ("keys.json", "{}"), ("spend.json", "["), ("admin.key", "\n")]
)
def test_a_damaged_file_of_the_gateway_is_named(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / name).write_text(content)
    assert name in told(tmp_path, "--port", str(free_port()), settings=URLS)


def test_a_damaged_trace_store_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "traces.db").write_bytes(b"not a database" * 1000)
    assert "traces.db" in told(tmp_path, "--port", str(free_port()), settings=URLS)


def test_what_init_writes_can_be_served(tmp_path: Path) -> None:
    done = nightschool("init", "--profile", "embedded", home=tmp_path)
    assert done.returncode == 0, done.stderr
    assert nightschool("init", home=tmp_path).returncode == 1
    from gateway.settings import load

    assert load(tmp_path / "nightschool.toml", environment={}).student.model == "embedded"


def test_file_and_environment_give_the_settings(tmp_path: Path) -> None:
    from gateway.settings import load

    (tmp_path / "a.toml").write_text('profile = "embedded"\n[gateway]\nport = 9000\n')
    chosen = load(
        tmp_path / "a.toml", environment={"NIGHTSCHOOL_GATEWAY_PORT": "9001", "NIGHTSCHOOL_STUDENT_URL": "http://x/v1"}
    )
    assert chosen.gateway.port == 9001
    assert (chosen.student.model, chosen.student.url) == ("", "http://x/v1")
    assert chosen.teacher.model == "expert"


@pytest.mark.parametrize("server", ["granian", "uvicorn"])
def test_either_server_answers_and_ends_cleanly(tmp_path: Path, student: Script, teacher: Script, server: str) -> None:
    with Running(tmp_path, student.url, teacher.url, gateway__server=server) as gateway:
        gateway.wait_ready()
        assert gateway.chat()[0] == 200
        key = tmp_path / "data" / "admin.key"
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert gateway.process.returncode == 0, gateway.log.read_text()
