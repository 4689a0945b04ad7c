"""GET /v1/models, /v1/traces/{id} and /health."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Request, Response, get
from litestar.datastructures import State

from gateway.errors import NotFound
from gateway.service import Gateway


@get("/v1/models")
async def models(state: State) -> dict[str, Any]:
    gateway: Gateway = state.gateway
    return {"object": "list", "data": gateway.names.listed()}


@get("/v1/models/{name:str}")
async def model(state: State, name: str) -> dict[str, Any]:
    gateway: Gateway = state.gateway
    gateway.names.resolve(name)
    return next((entry for entry in gateway.names.listed() if entry["id"] == name), {"id": name, "object": "model"})


@get("/v1/traces/{trace_id:str}")
async def trace(request: Request[Any, Any, Any], state: State, trace_id: str) -> Response[bytes]:
    gateway: Gateway = state.gateway
    found = await gateway.recorder.get(trace_id)
    if found is None:
        raise NotFound(f"There is no trace '{trace_id}'.")
    return Response(msgspec.json.encode(found), media_type="application/json")


@get("/health")
async def health(state: State) -> dict[str, Any]:
    gateway: Gateway = state.gateway
    return {"status": "ok", **gateway.status()}


ROUTES = [models, model, trace, health]
