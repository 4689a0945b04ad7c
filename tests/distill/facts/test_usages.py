"""Where a name stands."""

from pathlib import Path

from distill.facts import Place, collect, usages


def test_a_use_is_the_name_as_a_word_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("import limit\nlimit = limits + limit  # limit\n_limit = 3\nx.limit()\nélimit = 1\n")
    (tmp_path / "b.md").write_text('"limit"\r\nun-limit-ed\n')
    (tmp_path / "c.bin").write_bytes(b"\0limit\n")
    facts = collect(tmp_path)
    places = [("a.py", 1), ("a.py", 2), ("a.py", 4), ("b.md", 1), ("b.md", 2)]
    assert usages(facts, "limit") == tuple(Place(path, line) for path, line in places)
    assert usages(facts, "imit") == ()
    assert usages(facts, "x.limit") == (Place("a.py", 4),)
