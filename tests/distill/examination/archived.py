"""Small archives and frozen examinations for tests, made on the spot; no index is asked for them."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path

from distill.examination.archives import Archive

SOURCE = '''"""Shapes."""

import decimal


class Shape:
    """Anything with an area."""

    def area(self, scale, *, exact=False):
        """The area in square units."""
        return 0


class Square(Shape):
    """A square of one side."""


class Circle(Shape):
    """All points at a distance."""


def perimeter(shape, unit="m"):
    """The way around a shape."""
    return unit


LIMIT = 12
'''
FILES = {
    "shapes/__init__.py": "from shapes.flat import Square\n",
    "shapes/flat.py": SOURCE,
    "shapes/static/draw.js": "function draw(shape) {\n    return shape;\n}\n",
    "shapes-1.0.dist-info/METADATA": "Name: shapes\n",
}


def wheel(folder: Path, files: Mapping[str, str] = FILES, name: str = "shapes-1.0-py3-none-any.whl") -> Path:
    """An archive where `open_archive` keeps what it fetched, in a repositories folder."""
    (folder / "archives").mkdir(parents=True, exist_ok=True)
    path = folder / "archives" / name
    with zipfile.ZipFile(path, "w") as archive:
        for member, content in files.items():
            archive.writestr(zipfile.ZipInfo(member), content)
    return path


def pinned(path: Path, tree: str = "", part: str = "shapes", name: str = "shapes") -> Archive:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return Archive(name, "shapes", "1.0", path.name, digest, part, "MIT", tree)


def definition(archive: Archive, drawn: str = "", name: str = "small") -> str:
    """examination.toml about one archive."""
    fields = {key: getattr(archive, key) for key in archive.__struct_fields__}
    lines = [f"{key} = {json.dumps(value)}" for key, value in fields.items()]
    return "\n".join([f'name = "{name}"', "version = 1", "max_tokens = 99", drawn, "[[archive]]", *lines, ""])
