"""A gateway as a child process: it is up when all that starts with it has started."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx2

from gateway.processes.child import child_gateway
from tests.distill.conftest import make_model, make_tokenizer, tiny_folder

__all__ = ["make_model", "make_tokenizer", "tiny_folder"]


def test_a_local_model_that_starts_when_asked_is_not_waited_for(tiny_folder: Path, tmp_path: Path) -> None:
    settings = tmp_path / "nightschool.toml"
    settings.write_text(f'[student]\nmodel = "{tiny_folder}"\n[teacher]\nmodel = "expert"\n')
    log = tmp_path / "gateway.log"

    async def told() -> tuple[dict[str, bool], dict[str, bool]]:
        home = {"NIGHTSCHOOL_HOME": str(tmp_path)}
        async with child_gateway(["--config", str(settings)], home, log, tmp_path / "data") as url:
            key = (tmp_path / "data" / "admin.key").read_text().strip()
            async with httpx2.AsyncClient(headers={"authorization": f"Bearer {key}"}) as http:
                health = (await http.get(f"{url}/health")).json()
        return health["student"], health["teacher"]

    student, teacher = asyncio.run(told())
    assert (student["ready"], student["eager"]) == (False, False)
    assert (teacher["ready"], teacher["eager"]) == (True, True)
