"""llama.cpp's form: read with its own package, put back into the base's order of rows and merged, it says the same."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from gguf import GGUFReader, GGUFWriter
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from distill.errors import AdapterError
from distill.mlx import lora
from distill.mlx.adapters import llama_cpp
from distill.mlx.adapters.base import base_of
from distill.mlx.adapters.exchange import export, take
from tests.distill.mlx.adapters.conftest import FAMILIES, logits, make_adapter, merged

pytestmark = pytest.mark.school

LAYERS = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
WIDTH = 12  # rows a head


def merge(base: Path, file: Path, folder: Path, family: str) -> Path:
    """Merge as llama.cpp does, (alpha / r) · B·A, but into the base's own order of rows."""
    reader = GGUFReader(file)
    alpha = float(reader.fields["adapter.lora.alpha"].contents())
    tensors = {tensor.name: tensor.data for tensor in reader.tensors}

    def change(name: str, weight: np.ndarray) -> np.ndarray:
        _, _, block, layer = (*name.split(".", 3), "", "", "")[:4]
        a, b = (tensors.get(f"blk.{block}.{LAYERS.get(layer)}.weight.lora_{part}") for part in "ab")
        if a is None or b is None:
            return weight
        delta = np.float32(alpha / len(a)) * (b @ a)
        if family == "llama" and layer in ("self_attn.q_proj", "self_attn.k_proj"):
            row = np.arange(len(delta))
            head, inside = row // WIDTH, row % WIDTH  # the base's row; there it is the pair `inside % 6`, half by half
            delta = delta[head * WIDTH + 2 * (inside % (WIDTH // 2)) + inside // (WIDTH // 2)]
        return weight + delta

    return merged(base, folder, change)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("layers", [1, 3])
def test_merged_as_llama_cpp_does_it_says_the_same(
    bases: dict[str, Path], tmp_path: Path, family: str, layers: int
) -> None:
    adapter = make_adapter(bases[family], tmp_path / "adapter", layers=layers)
    made = export(adapter, bases[family], "gguf", tmp_path / "made")
    worn = logits(bases[family], adapter)
    assert np.abs(worn - logits(bases[family])).max() > 0.1
    told = logits(merge(bases[family], made / "adapter.gguf", tmp_path / "merged", family))
    assert np.abs(worn - told).max() < 1e-4


@pytest.mark.parametrize("family", FAMILIES)
def test_the_file_says_what_it_is(bases: dict[str, Path], tmp_path: Path, family: str) -> None:
    adapter = make_adapter(bases[family], tmp_path / "adapter")
    made = export(adapter, bases[family], "gguf", tmp_path / "made")
    assert [path.name for path in made.iterdir()] == ["adapter.gguf"]
    reader = GGUFReader(made / "adapter.gguf")
    told = {name: field.contents() for name, field in reader.fields.items() if not name.startswith("GGUF.")}
    assert told == {
        "general.architecture": family,
        "general.type": "adapter",
        "general.name": "made",
        "general.base_model.count": 1,
        "general.base_model.0.name": f"tiny-{family}",
        "adapter.type": "lora",
        "adapter.lora.alpha": 10.0,
    }
    assert {t.name for t in reader.tensors} == {
        f"blk.{block}.{layer}.weight.lora_{part}" for block in (1, 2) for layer in LAYERS.values() for part in "ab"
    }


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("keys", [None, ["self_attn.k_proj"]])
def test_there_and_back_it_is_the_same_adapter(
    bases: dict[str, Path], tmp_path: Path, family: str, keys: list[str] | None
) -> None:
    adapter = make_adapter(bases[family], tmp_path / "adapter", **({"keys": keys} if keys else {}))
    made = export(adapter, bases[family], "gguf", tmp_path / "made")
    for source in (made, made / "adapter.gguf"):
        back = take(source, bases[family], tmp_path / source.name / "back")
        assert lora.digest(back) == lora.digest(adapter)


def test_dora_is_refused_with_the_remedy(bases: dict[str, Path], tmp_path: Path) -> None:
    adapter = make_adapter(bases["llama"], tmp_path / "adapter", kind="dora")
    with pytest.raises(AdapterError, match="export a fused model"):
        export(adapter, bases["llama"], "gguf", tmp_path / "made")
    assert [path.name for path in tmp_path.iterdir()] == ["adapter"]


def test_a_scale_of_nothing_is_refused(bases: dict[str, Path], tmp_path: Path) -> None:
    adapter = make_adapter(bases["llama"], tmp_path / "adapter", scale=0.0)
    with pytest.raises(AdapterError, match="scale is 0"):
        export(adapter, bases["llama"], "gguf", tmp_path / "made")


def test_an_adapter_of_another_architecture_is_refused(bases: dict[str, Path], tmp_path: Path) -> None:
    made = export(make_adapter(bases["llama"], tmp_path / "adapter"), bases["llama"], "gguf", tmp_path / "made")
    with pytest.raises(AdapterError, match="made for a llama model"):
        take(made, bases["qwen2"], tmp_path / "back")


def written(file: Path, tensors: dict[str, np.ndarray], **told: str | float) -> Path:
    writer = GGUFWriter(file, str(told.get("architecture", "llama")))
    writer.add_type(str(told.get("type", "adapter")))
    writer.add_string("adapter.type", str(told.get("adapter", "lora")))
    writer.add_float32("adapter.lora.alpha", float(told.get("alpha", 8.0)))
    for name, tensor in tensors.items():
        writer.add_tensor(name, tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


A, B = np.ones((2, 48), np.float32), np.ones((48, 2), np.float32)
Q = "blk.0.attn_q.weight.lora_"


def test_without_an_alpha_llama_cpp_adds_as_it_is(bases: dict[str, Path], tmp_path: Path) -> None:
    taken = take(written(tmp_path / "a.gguf", {f"{Q}a": A, f"{Q}b": B}, alpha=0.0), bases["llama"], tmp_path / "ours")
    assert lora.read(taken).config["lora_parameters"]["scale"] == 1.0


@pytest.mark.parametrize(
    ("tensors", "told", "words"),
    [
        ({}, {}, "makes no sense"),
        ({f"{Q}a": A}, {}, "makes no sense"),
        ({f"{Q}b": B}, {}, "lacks"),
        ({f"{Q}a": A.T, f"{Q}b": B}, {}, "has shape"),
        ({f"{Q}a": A, f"{Q}b": B[:46]}, {}, "not those of 4 heads"),
        ({f"{Q}a": A, f"{Q}b": B[:40]}, {}, "has shape"),
        ({f"{Q}a": A[0], f"{Q}b": B}, {}, "no matrix"),
        ({f"{Q}a": A, f"{Q}b": B.astype(np.int8)}, {}, "F32 and F16"),
        ({f"{Q}a": A, f"{Q}b": B * np.nan}, {}, "NaN"),
        ({f"{Q}a": A, f"{Q}b": B}, {"alpha": float("inf")}, "makes no sense"),
        ({f"{Q}a": A, f"{Q}b": B}, {"type": "model"}, "no LoRA adapter"),
        ({f"{Q}a": A, f"{Q}b": B}, {"adapter": "control"}, "no LoRA adapter"),
        ({"blk.7.attn_q.weight.lora_b": B}, {}, "knows block 7 of 3"),
        ({"blk.-1.attn_q.weight.lora_b": B}, {}, "no layer that is known"),
        ({"blk.0.attn_norm.weight.lora_b": B}, {}, "not exchanged"),
        ({"token_embd.weight.lora_b": B}, {}, "no layer that is known"),
        ({"blk.0.attn_q.bias.lora_b": B}, {}, "no layer that is known"),
        ({"blk.0.ssm_in.weight.lora_b": B}, {}, "no layer that is known"),
    ],
)
def test_files_that_make_no_adapter(
    bases: dict[str, Path], tmp_path: Path, tensors: dict[str, np.ndarray], told: dict[str, float | str], words: str
) -> None:
    with pytest.raises(AdapterError, match=words):
        take(written(tmp_path / "a.gguf", tensors, **told), bases["llama"], tmp_path / "ours")
    assert [path.name for path in tmp_path.iterdir()] == ["a.gguf"]


def promise(kind: int, count: int) -> bytes:
    """A GGUF file whose one field is an array of so many of a kind, with nothing behind it."""
    key = b"general.name"
    head = b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q", len(key)) + key
    return head + struct.pack("<IIQ", 9, kind, count)


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"GGUF",
        b"GGUF" + b"\xff" * 100,
        b"\0" * 1000,
        promise(0, 2**60),  # bytes that are not there: gguf's own reader would go on for years
        promise(0, 200_000) + b"\0" * 200_000,
        promise(8, 2**60),
        promise(9, 2**60),
        promise(99, 1),
    ],
)
def test_files_that_promise_too_much(bases: dict[str, Path], tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.gguf").write_bytes(content)
    with pytest.raises(AdapterError, match="cannot be read as a GGUF file"):
        llama_cpp.read(tmp_path / "a.gguf", base_of(bases["llama"]))


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.integers(0, 2000), at=st.integers(0, 700), byte=st.integers(0, 255))
def test_a_damaged_file_is_refused_or_read_and_never_more(
    bases: dict[str, Path], tmp_path_factory: pytest.TempPathFactory, cut: int, at: int, byte: int
) -> None:
    file = tmp_path_factory.getbasetemp() / "damaged.gguf"
    file.unlink(missing_ok=True)
    whole = bytearray(written(file, {f"{Q}a": A, f"{Q}b": B}).read_bytes())
    whole[at] = byte
    file.write_bytes(bytes(whole[: len(whole) - cut]))
    try:
        taken = llama_cpp.read(file, base_of(bases["llama"]))
    except AdapterError:
        return
    assert {t.shape for t in taken.tensors.values()} <= {(48, 2), (2, 48)}
