"""The night's way to the gateway: its admin calls, over HTTP. Owns the wire; the gateway owns what the calls do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx2
from openai import AsyncOpenAI

from distill.errors import DistillError

_AT_ONCE = 5000  # traces named in one call


class DayError(DistillError):
    """The gateway refused a call of the night, or is not there."""


class Day:
    """A running gateway. `url` without /v1; the admin key is read from the data folder."""

    def __init__(self, url: str, admin_key: str) -> None:
        self._url = url
        self._admin_key = admin_key
        self._http = httpx2.AsyncClient(
            base_url=url, headers={"Authorization": f"Bearer {admin_key}"}, timeout=120.0, trust_env=False
        )

    @classmethod
    def of_home(cls, url: str, data: Path) -> Day:
        """Raises DayError when the gateway never ran on this home."""
        try:
            return cls(url, (data / "admin.key").read_text().strip())
        except OSError as error:
            raise DayError(f"there is no admin key in {data}: start the gateway first") from error

    def client(self) -> AsyncOpenAI:
        """Models behind the gateway, asked without leaving traces."""
        return AsyncOpenAI(
            base_url=f"{self._url}/v1",
            api_key=self._admin_key,
            max_retries=2,
            timeout=300.0,
            default_headers={"x-nightschool-no-trace": "1"},
        )

    async def status(self) -> dict[str, Any]:
        return await self._call("GET", "/admin/status")

    async def lease(self, size: int, seconds: float) -> str:
        """Borrow memory in bytes; the id of the lease."""
        return str((await self._call("POST", "/admin/lease", {"bytes": size, "seconds": seconds}))["id"])

    async def renew(self, lease: str) -> None:
        await self._call("POST", f"/admin/lease/{lease}", {})

    async def give_back(self, lease: str) -> None:
        await self._call("DELETE", f"/admin/lease/{lease}")

    async def forget(self, traces: Sequence[str]) -> list[str]:
        """Have traces forgotten, and those that go on from them; the ids of all that are gone."""
        gone: list[str] = []
        for at in range(0, len(traces), _AT_ONCE):
            gone += (await self._call("POST", "/admin/forget", {"traces": traces[at : at + _AT_ONCE]}))["traces"]
        return gone

    async def add_adapter(self, name: str, path: Path) -> None:
        """Make a candidate addressable as a model name."""
        await self._call("POST", "/admin/adapters", {"name": name, "path": str(path)})

    async def remove_adapter(self, name: str) -> None:
        await self._call("DELETE", f"/admin/adapters/{name}")

    async def propose(self, adapter: str, path: Path, verdict: dict[str, Any]) -> dict[str, Any]:
        """Propose an adapter; the gateway promotes it and tells the new live pointer."""
        return await self._call("POST", "/admin/proposals", {"adapter": adapter, "path": str(path), "verdict": verdict})

    async def __aenter__(self) -> Day:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        try:
            answer = await self._http.request(method, path, json=body)
        except httpx2.HTTPError as error:
            raise DayError(f"the gateway at {self._url} does not answer: {error or type(error).__name__}") from error
        if answer.is_error:
            raise DayError(f"{method} {path}: {answer.status_code} {answer.text[:300]}")
        decoded: dict[str, Any] = answer.json()
        return decoded
