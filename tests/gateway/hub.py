"""A model hub on loopback: a real HTTP server with the few routes that fetching takes, and a tiny model on it."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import unquote, urlsplit

from distill.mlx import blas

blas.prepare(1)

import mlx.core as mx  # noqa: E402 - the BLAS comes first
from mlx.utils import tree_flatten  # noqa: E402
from mlx_lm.models import llama  # noqa: E402
from tokenizers import Tokenizer, models, pre_tokenizers  # noqa: E402

COMMIT = "0123456789abcdef0123456789abcdef01234567"
_CONFIG = {
    "model_type": "llama",
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "intermediate_size": 64,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "rms_norm_eps": 1e-5,
    "vocab_size": 256,
    "tie_word_embeddings": True,
    "eos_token_id": 0,
}


def tiny_files(folder: Path) -> dict[str, bytes]:
    """The files of a random model, and others that repositories have and nobody should fetch."""
    model = llama.Model(llama.ModelArgs.from_dict(_CONFIG))
    mx.save_safetensors(str(folder / "model.safetensors"), dict(tree_flatten(model.parameters())))
    (folder / "config.json").write_text(json.dumps(_CONFIG))
    tokenizer = Tokenizer(models.BPE({c: i for i, c in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}, []))
    tokenizer.save(str(folder / "tokenizer.json"))
    others = {"pytorch_model.bin": b"a pickle", "modeling.py": b"print('never')", "extra/config.json": b"{}"}
    unwanted = {**others, "nightschool.json": b'{"files": {}}', "README.md": b"# A model"}
    return {**{path.name: path.read_bytes() for path in folder.iterdir()}, **unwanted}


class Hub:
    """Serves one repository, whatever name it is asked by. `damaged` names a file whose bytes are not the listed ones;
    `cut` one whose first transfer breaks off half way; `status` other than 200 refuses everything."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files
        self.damaged = ""
        self.cut = ""
        self.status = 200
        self.fetched: Counter[str] = Counter()
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                hub.answer(self, body=True)

            def do_HEAD(self) -> None:
                hub.answer(self, body=False)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, request: BaseHTTPRequestHandler, *, body: bool) -> None:
        path = unquote(urlsplit(request.path).path)
        if self.status != 200:
            _send(request, self.status, b"{}", {"x-error-code": "GatedRepo"} if self.status == 403 else {}, body=body)
        elif path.startswith("/api/models/") and "/tree/" in path:
            _send(request, 200, json.dumps([self._entry(name, "path") for name in self.files]).encode(), body=body)
        elif path.startswith("/api/models/"):
            self._tell(request, path.partition("/revision/")[2], body=body)
        elif "/resolve/" in path and (name := path.split("/resolve/")[1].partition("/")[2]) in self.files:
            self._file(request, name, body=body)
        else:
            _send(request, 404, b"{}", body=body)

    def _tell(self, request: BaseHTTPRequestHandler, revision: str, *, body: bool) -> None:
        if revision not in ("", "main", COMMIT):
            _send(request, 404, b"{}", {"x-error-code": "RevisionNotFound"}, body=body)
            return
        siblings = [self._entry(name, "rfilename") for name in self.files]
        _send(request, 200, json.dumps({"id": "a/b", "sha": COMMIT, "siblings": siblings}).encode(), body=body)

    def _entry(self, name: str, key: str) -> dict[str, Any]:
        content = self.files[name]
        oid = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        entry = {"type": "file", key: name, "size": len(content), "oid": oid, "blobId": oid}
        if name.endswith(".safetensors"):
            digest = hashlib.sha256(content).hexdigest()
            entry["lfs"] = {"sha256": digest, "oid": digest, "size": len(content), "pointerSize": 130}
        return entry

    def _file(self, request: BaseHTTPRequestHandler, name: str, *, body: bool) -> None:
        content = self.files[name]
        etag = hashlib.sha256(content).hexdigest()
        if name == self.damaged:
            content = content[:-1] + bytes([content[-1] ^ 1])
        if body:
            self.fetched[name] += 1
        headers = {"etag": f'"{etag}"', "x-repo-commit": COMMIT}
        cut = len(content) // 2 if name == self.cut and self.fetched[name] == 1 else len(content)
        _send(request, 200, content, headers, body=body, cut=cut)


def _send(
    request: BaseHTTPRequestHandler,
    status: int,
    content: bytes,
    headers: dict[str, str] | None = None,
    *,
    body: bool,
    cut: int | None = None,
) -> None:
    request.send_response(status)
    for key, value in (headers or {}).items():
        request.send_header(key, value)
    request.send_header("content-length", str(len(content)))
    request.end_headers()
    if body:
        request.wfile.write(content[:cut])
        request.close_connection = cut is not None and cut < len(content)
