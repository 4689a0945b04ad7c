"""The book of experiments: what is written stays, whatever happens to the process or to weights."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import msgspec
import pytest

from gateway.errors import StartError
from gateway.experiments.book import Book, Entry, Given
from router.canary import begin
from router.experiment import Experiment, Variant

KEY = b"of a home"
EXPERIMENT = Experiment("who", (Variant("a"), Variant("b", answers="student")))


def test_the_first_arm_stays_whatever_is_asked_later(tmp_path: Path) -> None:
    book = Book(tmp_path / "experiments.db", KEY)
    assert book.assigned("who", "c", "a", 0.9) == Given("a", 0.9, new=True)
    assert book.assigned("who", "c", "b", 0.1) == Given("a", 0.9)
    book.close()
    again = Book(tmp_path / "experiments.db", KEY)
    assert again.assigned("who", "c", "b", 0.1) == Given("a", 0.9)
    assert again.given("who", "c") == Given("a", 0.9)
    assert again.given("who", "d") is None
    assert again.counts("who") == {"a": 1}


def _give(file: Path, arm: str, found: multiprocessing.Queue[dict[str, str]]) -> None:
    book = Book(file, KEY)
    found.put({f"c{number}": book.assigned("who", f"c{number}", arm, 0.5).arm for number in range(200)})


def test_two_processes_agree_about_every_conversation(tmp_path: Path) -> None:
    file = tmp_path / "experiments.db"
    Book(file, KEY).close()
    context = multiprocessing.get_context("spawn")
    found: multiprocessing.Queue[dict[str, str]] = context.Queue()
    both = [context.Process(target=_give, args=(file, arm, found)) for arm in ("a", "b")]
    for one in both:
        one.start()
    first, second = found.get(timeout=60), found.get(timeout=60)
    for one in both:
        one.join()
    assert first == second


def test_each_conversation_speaks_of_a_thing_once(tmp_path: Path) -> None:
    book = Book(tmp_path / "experiments.db", KEY)
    assert book.first("who", "c", "turn")
    assert not book.first("who", "c", "turn")
    assert book.first("who", "c", "feedback")
    assert book.first("which", "c", "turn")


def test_no_name_of_a_conversation_is_written(tmp_path: Path) -> None:
    book = Book(tmp_path / "experiments.db", KEY)
    book.assigned("who", "alice\0my-secret-conversation \udc80", "a", 0.5)
    book.first("who", "alice\0my-secret-conversation", "turn")
    book.close()
    assert b"my-secret" not in b"".join(file.read_bytes() for file in tmp_path.iterdir())


def test_who_has_the_file_alone_cannot_ask_it_for_a_name(tmp_path: Path) -> None:
    book = Book(tmp_path / "experiments.db", KEY)
    book.assigned("who", "c", "a", 0.5)
    book.close()
    assert Book(tmp_path / "experiments.db", b"another").given("who", "c") is None


def test_what_cannot_be_written_holds_all_the_same_and_is_written_later(tmp_path: Path) -> None:
    book = Book(tmp_path / "experiments.db", KEY)
    entry = Entry(EXPERIMENT, 1.0)
    book.write(entry)
    book._db.execute("PRAGMA query_only = 1")  # as a full disk has it
    book.write(msgspec.structs.replace(entry, state="stopped", ended=2.0))
    assert book.running == []
    book._db.execute("PRAGMA query_only = 0")
    book.write(Entry(msgspec.structs.replace(EXPERIMENT, name="other"), 3.0))
    book.close()
    assert Book(tmp_path / "experiments.db", KEY).entries["who"].state == "stopped"


def test_entries_come_back_with_their_evidence(tmp_path: Path) -> None:
    book = Book(tmp_path / "experiments.db", KEY)
    entry = Entry(EXPERIMENT, 1.0, canary=begin(1.0), path="/x")
    book.write(entry)
    assert [one.experiment.name for one in book.running] == ["who"]
    book.write(msgspec.structs.replace(entry, state="rolled_back", ended=2.0, why="so"))
    book.close()
    again = Book(tmp_path / "experiments.db", KEY)
    assert again.running == []
    assert again.entries["who"] == msgspec.structs.replace(entry, state="rolled_back", ended=2.0, why="so")


def test_what_is_over_makes_room_with_everything_that_was_kept_of_it(tmp_path: Path) -> None:
    book = Book(tmp_path / "experiments.db", KEY)
    for number in range(60):
        name = f"e{number}"
        book.assigned(name, "c", "a", 0.5)
        state = "running" if number == 0 else "stopped"
        book.write(Entry(msgspec.structs.replace(EXPERIMENT, name=name), float(number), state=state))
    assert len(book.entries) == 51  # fifty that are over, and the one that runs
    assert "e0" in book.entries
    assert book.given("e1", "c") is None
    assert book.given("e0", "c") is not None
    assert book.given("e59", "c") is not None


@pytest.mark.parametrize("damage", [b"no database", b"\0" * 5000])
def test_a_damaged_book_says_what_to_do(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "experiments.db").write_bytes(damage)
    with pytest.raises(StartError, match="move it away"):
        Book(tmp_path / "experiments.db", KEY)
