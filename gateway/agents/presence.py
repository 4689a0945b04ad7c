"""Where a gateway is and whether one answers there, for the commands that use one that runs. Needs no key."""

from __future__ import annotations

import httpx2

from gateway.errors import SettingsError

_PATIENCE = 5.0  # seconds


def address(url: str) -> str:
    """A gateway's address as a person gives it, without /v1. Raises SettingsError."""
    if not url.startswith(("http://", "https://")):
        raise SettingsError(f"--url must start with http:// or https://, not '{url}'")
    return url.rstrip("/").removesuffix("/v1").rstrip("/")


def answers(url: str) -> bool:
    """Whether a gateway is at this address, asked without a proxy."""
    try:
        with httpx2.Client(trust_env=False, timeout=_PATIENCE) as client:
            told = client.get(f"{url}/health").json()
    except (httpx2.HTTPError, httpx2.InvalidURL, ValueError):
        return False
    return isinstance(told, dict) and told.get("status") == "ok"
