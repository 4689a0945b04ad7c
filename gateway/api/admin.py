"""/admin: candidates, proposals, roll-back, pin, leases, settings, status; with the admin key only."""

from __future__ import annotations

import time
from typing import Any

import msgspec
from litestar import Router, delete, get, post
from litestar.connection import ASGIConnection
from litestar.datastructures import State
from litestar.handlers import BaseRouteHandler

from gateway.answering.promotion import Promotion
from gateway.answering.routing import Learning
from gateway.errors import Conflict, Unauthorized
from gateway.experiments.book import Entry
from gateway.processes.lease import Lease
from gateway.service import Gateway
from router.experiment import Experiment


class Candidate(msgspec.Struct, frozen=True):
    name: str
    path: str


class Proposal(msgspec.Struct, frozen=True):
    adapter: str
    path: str
    verdict: dict[str, Any] = {}


class Back(msgspec.Struct, frozen=True):
    """Where a roll-back leads: an adapter under models/adapters, "base", or "", what served before. `force`: also to
    one that is not known to have passed."""

    adapter: str = ""
    force: bool = False


class Chosen(msgspec.Struct, frozen=True):
    """What is pinned: an adapter under models/adapters, or "base"."""

    adapter: str


class Wish(msgspec.Struct, frozen=True):
    """A lease as it is asked for."""

    bytes: int
    seconds: float


class Gone(msgspec.Struct, frozen=True):
    """Traces that are to be forgotten."""

    traces: list[str]


def needs_admin_key(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    gateway: Gateway = connection.app.state.gateway
    given = connection.headers.get("authorization", "").removeprefix("Bearer ")
    if not gateway.admission.is_admin(given):
        raise Unauthorized


@post("/adapters")
async def add_adapter(state: State, data: Candidate) -> dict[str, Any]:
    gateway: Gateway = state.gateway
    await gateway.promotion.add(data.name, data.path)
    return {"name": data.name}


@delete("/adapters/{name:str}", status_code=200)
async def remove_adapter(state: State, name: str) -> dict[str, Any]:
    gateway: Gateway = state.gateway
    if experiment := gateway.experiments.uses(name):
        raise Conflict(f"{name} is in the experiment '{experiment}': stop that first.")
    await gateway.promotion.remove(name)
    return {"name": name}


@post("/proposals")
async def propose(state: State, data: Proposal) -> dict[str, Any]:
    gateway: Gateway = state.gateway
    found = await gateway.propose(data.adapter, data.path, data.verdict)
    return {"live": gateway.promotion.live, "canary": found if isinstance(found, Entry) else None}


@get("/experiments")
async def experiments(state: State) -> dict[str, Any]:
    gateway: Gateway = state.gateway
    return {"experiments": gateway.experiments.told()}


@post("/experiments")
async def start_experiment(state: State, data: Experiment) -> dict[str, Any]:
    gateway: Gateway = state.gateway
    return {"experiment": await gateway.experiments.start(data)}


@delete("/experiments/{name:str}", status_code=200)
async def stop_experiment(state: State, name: str) -> dict[str, Any]:
    gateway: Gateway = state.gateway
    return {"experiment": await gateway.experiments.stop(name)}


@post("/router")
async def take_learning(state: State, data: Learning) -> dict[str, Any]:
    """What a night learnt for the router."""
    gateway: Gateway = state.gateway
    gateway.routing.take(data)
    return gateway.routing.told(gateway.student.live)


@post("/rollback")
async def roll_back(state: State, data: Back | None = None) -> dict[str, Any]:
    gateway: Gateway = state.gateway
    if data is not None and data.adapter:
        done = await gateway.handles.return_to(data.adapter, force=data.force)
    else:
        done = await gateway.handles.roll_back()
    return {"live": gateway.promotion.live, **msgspec.to_builtins(done)}


@post("/pin")
async def pin(state: State, data: Chosen) -> dict[str, Any]:
    gateway: Gateway = state.gateway
    return {"pin": await gateway.handles.pin(data.adapter), "live": gateway.promotion.live}


@delete("/pin", status_code=200)
async def unpin(state: State) -> dict[str, Any]:
    gateway: Gateway = state.gateway
    return {"pin": await gateway.promotion.unpin(), "live": gateway.promotion.live}


@post("/lease")
async def lend(state: State, data: Wish) -> dict[str, Any]:
    gateway: Gateway = state.gateway
    lease = gateway.leases.promise(data.bytes, data.seconds)
    try:
        await gateway.supervisor.room.give_way()
    except BaseException:
        gateway.leases.end(lease.id)
        raise
    return _told(gateway.leases.renew(lease.id), gateway.supervisor.room.refused)


@post("/lease/{lease_id:str}")
async def renew(state: State, lease_id: str) -> dict[str, Any]:
    gateway: Gateway = state.gateway
    return _told(gateway.leases.renew(lease_id), gateway.supervisor.room.refused)


@delete("/lease/{lease_id:str}", status_code=200)
async def give_back(state: State, lease_id: str) -> dict[str, Any]:
    gateway: Gateway = state.gateway
    gateway.leases.end(lease_id)
    return {"id": lease_id}


@post("/reload")
async def reload(state: State) -> dict[str, Any]:
    gateway: Gateway = state.gateway
    change = await gateway.reload()
    return {"changed": change.changed, "left": change.left}


@post("/forget")
async def forget(state: State, data: Gone) -> dict[str, Any]:
    gateway: Gateway = state.gateway
    return {"traces": await gateway.forget(data.traces)}


@get("/status")
async def status(state: State) -> dict[str, Any]:
    gateway: Gateway = state.gateway
    return {
        **gateway.status(),
        "memory": await gateway.memory(),
        "live": gateway.promotion.serving,
        "not_loaded": _not_loaded(gateway.promotion),
        "router": {**gateway.routing.told(gateway.student.live), "teachers": gateway.teachers.models},
        "canary": gateway.canaries.running,
        "pin": gateway.promotion.pinned,
        "adapters": {name: str(path) for name, path in gateway.promotion.adapters.items()},
        "idle_seconds": gateway.admission.limits.idle_seconds,
        "leased_bytes": gateway.leases.lent(),
        "cache": gateway.cache.status,
        "spend": {name: spend.status for name, spend in gateway.teachers.spends.items()},
    }


def _not_loaded(promotion: Promotion) -> dict[str, str] | None:
    """The adapter that should serve and does not, with the reason."""
    if promotion.live is None or promotion.serving is not None:
        return None
    return {"adapter": promotion.live.adapter, "reason": promotion.trouble}


def _told(lease: Lease, refused: int) -> dict[str, Any]:
    return {"id": lease.id, "bytes": lease.bytes, "expires": time.time() + lease.seconds, "refused": refused}


def routes() -> Router:
    handlers: list[Any] = [
        add_adapter,
        remove_adapter,
        propose,
        take_learning,
        experiments,
        start_experiment,
        stop_experiment,
        roll_back,
        pin,
        unpin,
        lend,
        renew,
        give_back,
        reload,
        forget,
        status,
    ]
    return Router("/admin", route_handlers=handlers, guards=[needs_admin_key])
