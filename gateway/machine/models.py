"""`nightschool models`: what there is, fetching it from the model hub, converting it.

Owns what gets into a model folder from outside, and that a folder appears only when it is whole and checked. The hub is
spoken to by huggingface_hub, which reads HF_ENDPOINT and a token by itself. Knows nothing of how models run.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from distill.digest import combined_digest, file_digest
from distill.errors import ModelError
from gateway.errors import StartError
from gateway.machine.catalog import Entry, entries
from gateway.machine.naming import is_name
from gateway.sections import EMBEDDED

if TYPE_CHECKING:
    from huggingface_hub.hf_api import RepoSibling

CARD = "nightschool.json"
_WANTED = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*\.(safetensors|json|jinja|txt)")  # no folders, no code, no pickles
_SPARE_BYTES = 1 << 28


def entry_of(name: str) -> Entry:
    """The catalogue's entry of a name. Raises StartError naming those there are."""
    known = entries()
    if name not in known:
        raise StartError(f"the catalogue has no model '{name}'; it has {', '.join(known)}")
    return known[name]


def convertible(source: str, models: Path) -> Path:
    """What `convert` reads: a GGUF file, a folder, or a folder's name under the models folder. Raises StartError."""
    path = Path(source)
    found = [path] if path.is_file() else [folder for folder in (path, models / source) if folder.is_dir()]
    if not found:
        raise StartError(f"there is no model folder or GGUF file '{source}', nor a folder of that name in {models}")
    return found[0].resolve()


def new_folder(name: str, models: Path) -> Path:
    """Where a converted model of that name goes. Raises StartError for a name that is not free to take."""
    if not is_name(name):
        raise StartError(f"'{name}' is no name for a model: letters, digits, '.', '_' and '-' only")
    if (known := entries().get(name)) and known.package:
        raise StartError(f"'{name}' is made from a package and cannot be a converted model: choose another name")
    return models / name


def pull(name: str, models: Path, revision: str = "") -> str:
    """Fetch a catalogue model into `models`/`name`; the line that says what is there now.

    What was fetched is checked against the digests that the hub lists and, if it has any, the catalogue's. Files that
    arrived whole stay for the next try; the folder appears only when all of them have. Raises ModelError or StartError.
    """
    name = EMBEDDED if name == "embedded" else name
    entry = entry_of(name)
    target = models / name
    if entry.package:
        return _ensure_embedded(name, target)
    wanted = revision or entry.revision
    if target.exists():
        return _already(name, target, wanted)
    models.mkdir(parents=True, exist_ok=True)
    with _alone(models / f".pull-{name}.lock"):
        return fetch(name, entry, target, wanted)


def fetch(name: str, entry: Entry, target: Path, revision: str) -> str:
    """As pull, for one entry and a target that is not there."""
    commit, files = _listed(entry.repository, revision)
    if missing := entry.files.keys() - files.keys():
        raise ModelError(f"{entry.repository} at {commit} has no {min(missing)}, which the catalogue pins")
    work = target.parent / f".pull-{name}-{commit[:12]}"
    _check_room(files, work)
    _download(entry.repository, commit, list(files), work)
    digests = {file: _checked(work / file, listed, entry) for file, listed in sorted(files.items())}
    card = {
        "repository": entry.repository,
        "revision": commit,
        "source_sha256": combined_digest(f"{file}={digest}" for file, digest in digests.items()),
        "files": digests,
    }
    (work / CARD).write_text(json.dumps(card, indent=2))
    shutil.rmtree(work / ".cache", ignore_errors=True)  # the download's own notes
    work.rename(target)
    pinned = "" if revision == commit else f"; the same again: nightschool models pull {name} --revision {commit}"
    return f"{target} holds {entry.repository} at {commit}{pinned}"


def _ensure_embedded(name: str, target: Path) -> str:
    from distill.mlx import blas

    blas.prepare(1)  # before anything imports MLX
    from distill.mlx.embedded import ensure_embedded
    from gateway.settings import catalog

    ensure_embedded(catalog()[name], target)
    return f"{target} holds {name}"


def _already(name: str, target: Path, revision: str) -> str:
    try:
        held = str(json.loads((target / CARD).read_text()).get("revision", ""))
    except (OSError, ValueError):
        held = ""
    if not (target / "config.json").is_file() or (revision and not held.startswith(revision)):
        told = f"at {held}" if held else "of unknown revision"
        raise StartError(f"{target} is there already, {told}: remove the folder to fetch {name} anew")
    return f"{target} is there already{f', at {held}' if held else ''}"


def _listed(repository: str, revision: str) -> tuple[str, dict[str, RepoSibling]]:
    """The commit that a revision stands for, and the files of it that a model folder takes."""
    from huggingface_hub import HfApi

    with _told(repository, revision):
        info = HfApi().model_info(repository, revision=revision or None, files_metadata=True)
    files = {file.rfilename: file for file in info.siblings or [] if _WANTED.fullmatch(file.rfilename)}
    files.pop(CARD, None)  # written here, never taken from there
    for needed in ("config.json", "tokenizer.json"):
        if needed not in files:
            raise ModelError(f"{repository} is no model for Nightschool: it has no {needed}")
    if not info.sha or not re.fullmatch(r"[0-9a-f]{40}", info.sha):
        raise ModelError(f"the hub names no commit for {repository}")
    return info.sha, files


def _check_room(files: dict[str, RepoSibling], work: Path) -> None:
    there = sum(path.stat().st_size for path in work.glob("*")) if work.is_dir() else 0
    needed = sum(file.size or 0 for file in files.values()) + _SPARE_BYTES - there
    free = shutil.disk_usage(work.parent).free
    if free < needed:
        raise ModelError(f"{work.parent} has {free / 1e9:.1f} GB free and {needed / 1e9:.1f} GB are needed: free some")


def _download(repository: str, commit: str, files: list[str], work: Path) -> None:
    from huggingface_hub import snapshot_download

    with _told(repository, commit):
        snapshot_download(repository, revision=commit, local_dir=work, allow_patterns=files, max_workers=2)


def _checked(path: Path, listed: RepoSibling, entry: Entry) -> str:
    """The SHA-256 of a file that is what hub and catalogue say; another is removed, so that the next try fetches it.

    Large files are listed by SHA-256, small ones by git's blob id: SHA-1 over "blob <length>\\0" and the content.
    """
    if path.is_symlink() or not path.is_file():
        raise ModelError(f"{path.name} did not arrive: try again")
    digest = file_digest(path)
    if listed.lfs is not None:
        right = digest == listed.lfs.sha256
    else:
        content = path.read_bytes()
        right = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest() == listed.blob_id
    pinned = entry.files.get(path.name, digest)
    if not right or digest != pinned:
        path.unlink()
        by = "hub lists" if not right else "catalogue pins"
        raise ModelError(f"{path.name} is damaged: it is not what the {by}. Nothing was installed; try again")
    return digest


@contextmanager
def _told(repository: str, revision: str) -> Iterator[None]:
    """What the hub's library raises, as one line that says what to do."""
    import httpx2
    from huggingface_hub import errors

    try:
        yield
    except errors.GatedRepoError as error:
        raise ModelError(f"{repository} is gated: accept its terms on the hub and set HF_TOKEN") from error
    except errors.RepositoryNotFoundError as error:
        raise ModelError(_refusal(repository, 404)) from error
    except errors.RevisionNotFoundError as error:
        raise ModelError(f"{repository} has no revision {revision}") from error
    except errors.OfflineModeIsEnabled as error:
        raise ModelError("HF_HUB_OFFLINE is set, so nothing is fetched: unset it") from error
    except (httpx2.TransportError, errors.LocalEntryNotFoundError) as error:
        raise ModelError(
            f"the model hub cannot be reached ({_root(error)}): check the network, then try again"
        ) from error
    except errors.HfHubHTTPError as error:
        raise ModelError(_refusal(repository, error.response.status_code)) from error
    except OSError as error:
        raise ModelError(f"the download broke off ({_root(error)}): try again, what is whole is kept") from error


def _refusal(repository: str, status: int) -> str:
    if status in (401, 404):
        return f"the hub has no {repository}, or it is private: check HF_ENDPOINT, or set HF_TOKEN"
    return f"the model hub refused with status {status}: try again later"


def _root(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:160]


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """One pull of a model at a time. The lock goes with the process; its empty file stays."""
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise StartError("another process is fetching this model just now") from error
        yield
