"""`nightschool models`: the catalogue's arithmetic, fetching from a hub on loopback, and what keeps a folder away."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.machine.catalog import entries
from gateway.machine.models import new_folder
from gateway.sections import EMBEDDED
from tests.gateway.hub import COMMIT, Hub, tiny_files
from tests.gateway.running import environment, nightschool

NAME = "qwen2.5-coder-3b"
OWN = {"config.json", "model.safetensors", "tokenizer.json"}
PINNED = """\
import sys, msgspec
from pathlib import Path
from distill.errors import DistillError
from gateway.machine.models import entry_of, fetch
entry = msgspec.structs.replace(entry_of(sys.argv[1]), files={sys.argv[3]: sys.argv[4]})
try:
    fetch(sys.argv[1], entry, Path(sys.argv[2]), "")
except DistillError as error:
    sys.exit(str(error))
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return tiny_files(tmp_path_factory.mktemp("hub"))


@pytest.fixture
def hub(files: dict[str, bytes]) -> Iterator[Hub]:
    serving = Hub(files)
    yield serving
    serving.close()


def pull(home: Path, endpoint: str, *options: str, name: str = NAME) -> subprocess.CompletedProcess[str]:
    return nightschool(
        "models", "pull", name, *options, home=home, HF_ENDPOINT=endpoint, HF_HUB_OFFLINE="0", HF_HOME=str(home / "hf")
    )


def test_the_catalogue_is_whole() -> None:
    for name, entry in entries().items():
        assert bool(entry.repository) != bool(entry.package), name
        assert entry.needed_bytes(float32=False) < entry.needed_bytes(float32=True)
    seven = entries()["qwen2.5-coder-7b"]
    assert seven.kv_bytes(1, float32=False) == 2 * 28 * 4 * 128 * 2


def test_what_is_pulled_is_whole_and_loads(tmp_path: Path, hub: Hub) -> None:
    done = pull(tmp_path, hub.url)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "models" / NAME
    assert f"--revision {COMMIT}" in done.stdout
    assert {path.name for path in folder.iterdir()} == {*OWN, "nightschool.json"}
    assert hub.fetched.keys() == OWN
    card = json.loads((folder / "nightschool.json").read_text())
    assert card["revision"] == COMMIT
    assert card["files"] == {name: hashlib.sha256(hub.files[name]).hexdigest() for name in OWN}
    assert [path.name for path in folder.parent.iterdir() if path.is_dir()] == [NAME]
    from distill.mlx.load import load

    assert load(folder).config["model_type"] == "llama"
    again = pull(tmp_path, hub.url)
    assert (again.returncode, hub.fetched.total()) == (0, len(OWN))
    assert "there already" in again.stdout
    other = pull(tmp_path, hub.url, "--revision", "f" * 40)
    assert other.returncode == 1
    assert "remove the folder" in other.stderr


def test_a_pinned_revision_is_the_one_fetched(tmp_path: Path, hub: Hub) -> None:
    unknown = pull(tmp_path, hub.url, "--revision", "gone")
    assert (unknown.returncode, "no revision gone" in unknown.stderr) == (1, True)
    assert pull(tmp_path, hub.url, "--revision", COMMIT).returncode == 0


@pytest.mark.parametrize("damaged", ["model.safetensors", "config.json"])
def test_a_damaged_file_is_refused_and_only_it_is_fetched_again(tmp_path: Path, hub: Hub, damaged: str) -> None:
    hub.damaged = damaged
    done = pull(tmp_path, hub.url)
    assert done.returncode == 1
    assert f"{damaged} is damaged" in done.stderr.splitlines()[-1]
    assert not (tmp_path / "models" / NAME).exists()
    hub.damaged = ""
    assert pull(tmp_path, hub.url).returncode == 0
    assert hub.fetched == {**dict.fromkeys(OWN, 1), damaged: 2}


def test_a_transfer_that_breaks_off_is_taken_up_again(tmp_path: Path, hub: Hub) -> None:
    hub.cut = "model.safetensors"
    done = pull(tmp_path, hub.url)
    assert done.returncode == 0, done.stderr
    assert hub.fetched["model.safetensors"] == 2
    assert (tmp_path / "models" / NAME / "model.safetensors").read_bytes() == hub.files["model.safetensors"]


def test_a_file_that_the_catalogue_pins_otherwise_is_refused(tmp_path: Path, hub: Hub) -> None:
    variables = environment(tmp_path, HF_ENDPOINT=hub.url, HF_HUB_OFFLINE="0", HF_HOME=str(tmp_path / "hf"))
    for name, words in (("config.json", "catalogue pins"), ("absent.json", "has no absent.json")):
        command = [sys.executable, "-c", PINNED, NAME, str(tmp_path / "m"), name, "0" * 64]
        done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert words in done.stderr.splitlines()[-1]
        assert not (tmp_path / "m").exists()


@pytest.mark.parametrize(
    ("status", "words"), [(403, "gated"), (401, "private"), (404, "has no mlx-community"), (500, "try again")]
)
def test_a_refusal_of_the_hub_is_one_line(tmp_path: Path, hub: Hub, status: int, words: str) -> None:
    hub.status = status
    done = pull(tmp_path, hub.url)
    assert done.returncode == 1
    assert words in done.stderr.splitlines()[-1]


def test_without_a_network_one_line_says_so(tmp_path: Path) -> None:
    done = pull(tmp_path, "http://127.0.0.1:9")
    assert done.returncode == 1
    assert "cannot be reached" in done.stderr.splitlines()[-1]
    offline = nightschool("models", "pull", NAME, home=tmp_path, HF_HUB_OFFLINE="1")
    assert (offline.returncode, "HF_HUB_OFFLINE" in offline.stderr) == (1, True)


@pytest.mark.model
@pytest.mark.parametrize("name", ["embedded", EMBEDDED])
def test_the_embedded_model_comes_from_its_package(tmp_path: Path, student_folder: Path, name: str) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / EMBEDDED).symlink_to(student_folder)
    done = pull(tmp_path, "http://127.0.0.1:9", name=name)
    assert (done.returncode, f"holds {EMBEDDED}" in done.stdout) == (0, True)


def test_a_name_that_the_catalogue_lacks_is_refused(tmp_path: Path) -> None:
    done = pull(tmp_path, "http://127.0.0.1:9", name="../evil")
    assert done.returncode == 1
    assert "the catalogue has no model '../evil'" in done.stderr


def test_list_names_what_there_is(tmp_path: Path, files: dict[str, bytes]) -> None:
    mine = tmp_path / "models" / "mine"
    mine.mkdir(parents=True)
    (mine / "config.json").write_bytes(files["config.json"])
    done = nightschool("models", "list", home=tmp_path)
    assert done.returncode == 0, done.stderr
    for name in (*entries(), "mine", "Apache-2.0"):
        assert name in done.stdout


@pytest.mark.parametrize(
    ("source", "name", "words"),
    [
        ("nowhere", "a", "no model folder"),
        (".", "../a", "no name for a model"),
        (".", "smollm2-135m", "another name"),
        (".", "a", "holds no config.json"),
    ],
)
def test_convert_refuses_in_one_line(tmp_path: Path, source: str, name: str, words: str) -> None:
    done = nightschool("models", "convert", source, name, home=tmp_path)
    assert done.returncode == 1
    assert words in done.stderr.splitlines()[-1]
    assert not list((tmp_path / "models").iterdir())


def test_a_converted_model_goes_into_the_models_folder(tmp_path: Path) -> None:
    assert new_folder("mine-4bit", tmp_path) == tmp_path / "mine-4bit"
