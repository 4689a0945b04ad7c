"""GET /v1/models, /v1/traces/{id}, /health and /metrics."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Request, Response, get
from litestar.datastructures import State

from gateway.errors import NotFound, Unauthorized
from gateway.service import Gateway
from gateway.watching.metrics import CONTENT_TYPE


@get("/v1/models")
async def models(request: Request[Any, Any, Any], state: State) -> dict[str, Any]:
    gateway: Gateway = state.gateway
    client = gateway.admission.client(request.scope)
    return {"object": "list", "data": gateway.names.listed(client.may_ask_for)}


@get("/v1/models/{name:str}")
async def model(request: Request[Any, Any, Any], state: State, name: str) -> dict[str, Any]:
    gateway: Gateway = state.gateway
    client = gateway.admission.client(request.scope)
    gateway.names.resolve(name, client.may_ask_for)
    listed = gateway.names.listed(client.may_ask_for)
    return next((entry for entry in listed if entry["id"] == name), {"id": name, "object": "model"})


@get("/v1/traces/{trace_id:str}")
async def trace(request: Request[Any, Any, Any], state: State, trace_id: str) -> Response[bytes]:
    gateway: Gateway = state.gateway
    client = gateway.admission.client(request.scope)
    found = await gateway.recorder.get(trace_id)
    if found is None or not client.may_see(found.client):
        raise NotFound(f"There is no trace '{trace_id}'.")
    return Response(msgspec.json.encode(found), media_type="application/json")


@get("/health")
async def health(request: Request[Any, Any, Any], state: State) -> Response[dict[str, Any]]:
    gateway: Gateway = state.gateway
    word, status = ("draining", 503) if gateway.under_way.closing else ("ok", 200)
    try:
        gateway.admission.client(request.scope)
    except Unauthorized:
        return Response({"status": word}, status_code=status)
    return Response({"status": word, **gateway.status()}, status_code=status)


@get("/metrics")
async def metrics(request: Request[Any, Any, Any], state: State) -> Response[bytes]:
    gateway: Gateway = state.gateway
    gateway.admission.client(request.scope)
    return Response(gateway.metrics.page(), media_type=CONTENT_TYPE)


ROUTES = [models, model, trace, health, metrics]
