"""The files of a commit: what is written, what is left out, and that nothing of the repository runs or is fetched."""

from __future__ import annotations

from pathlib import Path

import pytest

from distill.commits import Room, repository_around, resolved, unpack
from distill.errors import RepositoryError
from tests.distill.gitting import commit, git


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "shop"
    (folder / "src").mkdir(parents=True)
    git(folder, "init", "-q", "-b", "main")
    (folder / "src" / "basket.py").write_bytes(b"def add():\r\n    return 1\n")
    (folder / "run.sh").write_text("echo\n")
    (folder / "run.sh").chmod(0o755)
    (folder / "picture").write_bytes(bytes(range(256)) * 1000)
    (folder / "empty").touch()
    (folder / "grüße.txt").write_text("ß")
    return folder


def files_of(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file() or path.is_symlink())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found if ".git" not in path.parts}


def test_the_files_are_those_of_the_commit_and_not_of_the_folder(repository: Path, tmp_path: Path) -> None:
    before = files_of(repository)
    first = commit(repository)
    (repository / "src" / "basket.py").write_text("changed")
    (repository / "new").touch()
    commit(repository)
    done = unpack(repository / ".git", first, tmp_path / "out", Room())
    assert files_of(tmp_path / "out") == before
    assert (done.plain, done.bytes) == (True, sum(-(-len(content) // 4096) * 4096 for content in before.values()))
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o700


def test_what_an_archive_would_change_or_leave_out_is_there(repository: Path, tmp_path: Path) -> None:
    (repository / ".gitattributes").write_text("run.sh export-ignore\nsrc/* export-subst\n")
    (repository / "src" / "version").write_text("$Format:%H$")
    name = commit(repository)
    assert unpack(repository / ".git", name, tmp_path / "out", Room()).plain
    assert files_of(tmp_path / "out") == files_of(repository)


@pytest.mark.parametrize("line", ["*.bin filter=lfs diff=lfs", "x ident", "*.txt working-tree-encoding=UTF-16"])
def test_attributes_that_give_a_checkout_other_files_are_told(repository: Path, tmp_path: Path, line: str) -> None:
    (repository / "src" / ".gitattributes").write_text(line + "\n")
    assert not unpack(repository / ".git", commit(repository), tmp_path / "one", Room()).plain
    (repository / "src" / ".gitattributes").write_text("* text=auto eol=lf\n")
    name = commit(repository)
    assert unpack(repository / ".git", name, tmp_path / "two", Room()).plain
    (repository / ".git" / "info" / "attributes").write_text(line + "\n")
    assert not unpack(repository / ".git", name, tmp_path / "three", Room()).plain


def test_a_checkout_that_takes_only_some_files_is_told(repository: Path, tmp_path: Path) -> None:
    name = commit(repository)
    git(repository, "sparse-checkout", "set", "src")
    assert not unpack(repository / ".git", name, tmp_path / "out", Room()).plain


def test_nothing_of_the_repository_runs_and_nothing_is_fetched(repository: Path, tmp_path: Path) -> None:
    (repository / ".gitattributes").write_text("* filter=bad diff=bad\n")
    name = commit(repository)
    (repository / ".git" / "info" / "attributes").write_text("* filter=bad diff=bad\n")
    proof = tmp_path / "it-ran"
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\ntouch {proof}\nexec cat\n")
    program.chmod(0o755)
    (tmp_path / "hooks").mkdir()
    for hook in ("post-checkout", "reference-transaction", "post-index-change"):
        (tmp_path / "hooks" / hook).symlink_to(program)
        (repository / ".git" / "hooks" / hook).unlink(missing_ok=True)
        (repository / ".git" / "hooks" / hook).symlink_to(program)
    for key in ("core.fsmonitor", "core.pager", "core.editor", "core.sshCommand", "core.askPass", "credential.helper"):
        git(repository, "config", key, str(program))
    for key in ("filter.bad.smudge", "filter.bad.process", "diff.bad.textconv", "diff.external", "gpg.program"):
        git(repository, "config", key, str(program))
    git(repository, "config", "core.hooksPath", str(tmp_path / "hooks"))
    proof.unlink(missing_ok=True)
    unpack(repository / ".git", resolved(repository / ".git", name[:8]), tmp_path / "out", Room())
    assert (tmp_path / "out" / "run.sh").read_text() == "echo\n"
    assert not proof.exists()


@pytest.mark.parametrize("address", ["ext::{program} %S", "ssh://somewhere/x", "{origin}"])
def test_what_a_partial_clone_lacks_is_not_fetched(repository: Path, tmp_path: Path, address: str) -> None:
    name = commit(repository)
    git(repository, "config", "uploadpack.allowFilter", "true")
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "-q", "--no-checkout", "--filter=blob:none", f"file://{repository}", str(clone))
    proof = tmp_path / "it-ran"
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\ntouch {proof}\n")
    program.chmod(0o755)
    git(clone, "config", "remote.origin.url", address.format(program=program, origin=f"file://{repository}"))
    git(clone, "config", "protocol.ext.allow", "always")
    git(clone, "config", "protocol.allow", "always")
    git(clone, "config", "core.sshCommand", str(program))
    before = sorted((clone / ".git" / "objects" / "pack").iterdir())
    with pytest.raises(RepositoryError):
        unpack(clone / ".git", name, tmp_path / "out", Room())
    assert not proof.exists()
    assert sorted((clone / ".git" / "objects" / "pack").iterdir()) == before


def test_links_that_lead_out_are_left_out_also_by_way_of_others(repository: Path, tmp_path: Path) -> None:
    links = {
        "good": "src/basket.py",
        "src/up": "../run.sh",
        "absolute": "/etc/passwd",
        "out": "../secret",
        "here": ".",
        "sly": "here/../secret",  # inside by its words only
        "circle": "circle",
        "dangling": "nothing",
    }
    for path, leads in links.items():
        (repository / path).symlink_to(leads)
    (tmp_path / "secret").write_text("no")
    name = commit(repository)
    out = tmp_path / "out"
    unpack(repository / ".git", name, out, Room())
    left = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_symlink()}
    assert left - {"circle"} == {"good", "src/up", "here", "dangling"}
    assert (out / "good").read_bytes() == (repository / "src" / "basket.py").read_bytes()


def test_a_submodule_is_left_out(repository: Path, tmp_path: Path) -> None:
    name = commit(repository)
    git(repository, "update-index", "--add", "--cacheinfo", f"160000,{name},vendor")
    git(repository, "commit", "-q", "-m", "x")
    unpack(repository / ".git", git(repository, "rev-parse", "HEAD"), tmp_path / "out", Room())
    assert not (tmp_path / "out" / "vendor").exists()


@pytest.mark.parametrize("path", ["../out", ".git", "a/../../b", ".GIT/config", "/etc", ""])
def test_trees_with_names_that_lead_out_are_refused(repository: Path, tmp_path: Path, path: str) -> None:
    blob = git(repository, "hash-object", "-w", "--stdin", given=b"evil")
    tree = b"100644 " + path.encode() + b"\0" + bytes.fromhex(blob)
    name = git(repository, "hash-object", "-w", "-t", "tree", "--stdin", "--literally", given=tree)
    bad = git(repository, "commit-tree", name, "-m", "x")
    with pytest.raises(RepositoryError):
        unpack(repository / ".git", bad, tmp_path / "in" / "out", Room())
    assert not (tmp_path / "in").exists()


def test_a_commit_that_is_too_large_is_refused_before_it_is_read(repository: Path, tmp_path: Path) -> None:
    name = commit(repository)
    for room in (Room(files=4), Room(bytes=200_000)):
        with pytest.raises(RepositoryError, match="too much"):
            unpack(repository / ".git", name, tmp_path / "out", room)
    assert not (tmp_path / "out").exists()


def test_a_damaged_object_is_refused(repository: Path, tmp_path: Path) -> None:
    name = commit(repository)
    blob = git(repository, "rev-parse", "HEAD:picture")
    file = repository / ".git" / "objects" / blob[:2] / blob[2:]
    file.chmod(0o644)
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(RepositoryError):
        unpack(repository / ".git", name, tmp_path / "out", Room())


def test_a_commit_is_found_by_its_beginning_and_by_nothing_else(repository: Path) -> None:
    name = commit(repository)
    git(repository, "branch", "abcdef0")
    git(repository, "tag", "v1")
    place = repository / ".git"
    assert [resolved(place, name[:length]) for length in (7, 12, 40)] == [name] * 3
    for other in (
        "HEAD",
        "main",
        "v1",
        "abcdef0",
        "0" * 40,
        "--all",
        name[:6],
        name.upper(),
        f"{name}~1",
        "",
        "0" * 99,
    ):
        with pytest.raises(RepositoryError):
            resolved(place, other)


def test_replaced_objects_do_not_count(repository: Path, tmp_path: Path) -> None:
    first = commit(repository)
    (repository / "run.sh").write_text("other\n")
    git(repository, "replace", first, commit(repository))
    unpack(repository / ".git", resolved(repository / ".git", first), tmp_path / "out", Room())
    assert (tmp_path / "out" / "run.sh").read_text() == "echo\n"


def test_a_repository_is_found_from_within_and_only_inside_of_the_roots(repository: Path, tmp_path: Path) -> None:
    commit(repository)
    inside = repository / "src"
    assert repository_around(inside, [tmp_path]) == (repository, repository / ".git")
    assert repository_around(repository, [tmp_path / "no", repository]) == (repository, repository / ".git")
    for roots in ([inside], [], [tmp_path / "sho"]):
        with pytest.raises(RepositoryError):
            repository_around(inside, roots)


def test_a_worktree_has_the_objects_of_its_repository(repository: Path, tmp_path: Path) -> None:
    commit(repository)
    git(repository, "worktree", "add", "-q", str(tmp_path / "tree"))
    assert repository_around(tmp_path / "tree", [tmp_path]) == (tmp_path / "tree", repository / ".git")
    with pytest.raises(RepositoryError, match="elsewhere"):
        repository_around(tmp_path / "tree", [tmp_path / "tree"])


def test_objects_of_elsewhere_are_not_followed(repository: Path, tmp_path: Path) -> None:
    commit(repository)
    git(tmp_path, "clone", "-q", "--shared", str(repository), str(tmp_path / "clone"))
    with pytest.raises(RepositoryError, match="borrows"):
        repository_around(tmp_path / "clone", [tmp_path])
    fake = tmp_path / "roots" / "fake"
    fake.mkdir(parents=True)
    (fake / ".git").symlink_to(repository / ".git")
    with pytest.raises(RepositoryError, match="elsewhere"):
        repository_around(fake, [tmp_path / "roots"])
    (fake / ".git").unlink()
    (fake / ".git").write_text("not a repository")
    with pytest.raises(RepositoryError, match="elsewhere"):
        repository_around(fake, [tmp_path / "roots"])
