"""Liveness (`/healthz`: restart the process?) and readiness (`/readyz`: send requests?)."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter, Request

from service.errors import NotReady
from service.http.error_schemas import error_answers
from service.routes.dependencies import check_required_key, state_of
from service.routes.models import loaded_versions
from service.routes.schemas import Health, Readiness, RefusedVersion, TakenOut

VERBOSE: Final = {
    "name": "verbose",
    "in": "query",
    "required": False,
    "description": "Also say what is loaded, and what is wanted and stays out",
    "schema": {"type": "string"},
    "allowEmptyValue": True,
}

router = APIRouter(tags=["health"])


@router.get("/healthz", operation_id="healthz", summary="Is the process alive?", responses=error_answers(503))
async def healthz(request: Request) -> Health:
    """503 when an engine's thread has died: only a restart helps then."""
    if not state_of(request).registry.alive:
        raise NotReady("engine_stopped", "the engine of a model has stopped")
    return Health(status="alive")


@router.get(
    "/readyz",
    operation_id="readyz",
    summary="Is a model loaded, and are requests accepted?",
    responses=error_answers(503),
    response_model_exclude_none=True,
    openapi_extra={"parameters": [VERBOSE]},
)
async def readyz(request: Request) -> Readiness:
    """503 until a model has loaded and compiled, and from the moment the service is told to stop.

    `verbose` wants a key for predictions where those want one.
    """
    state, verbose = state_of(request), "verbose" in request.query_params
    if verbose:
        check_required_key(request, "predict")
    state.registry.check_ready()
    if not verbose:
        return Readiness(status="ready")
    refused = [
        RefusedVersion(name=rejected.model, version=rejected.version, reason=str(rejected.error), times=rejected.times)
        for rejected in (state.watcher.rejected if state.watcher else ())
    ]
    taken_out = [
        TakenOut(name=canary.challenger.name, version=canary.challenger.version, reason=canary.taken_out)
        for canary in (state.experiment.taken_out if state.experiment else ())
    ]
    return Readiness(
        status="ready",
        models=loaded_versions(state.registry).models,
        refused=refused,
        taken_out=taken_out if state.experiment else None,
    )
