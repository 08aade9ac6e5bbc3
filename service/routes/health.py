"""`/healthz` says whether to restart this process, `/readyz` whether to send it requests."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter, Request

from service.errors import NotReady
from service.protocols.native.schemas import Health, Readiness, RefusedVersion, TakenOut, error_answers
from service.routes.dependencies import current_follower, current_live, current_trial
from service.routes.models import loaded_versions

VERBOSE: Final = {
    "name": "verbose",
    "in": "query",
    "required": False,
    "description": "Also say what is loaded, and what is wanted and stays out",
    "schema": {"type": "string"},
    "allowEmptyValue": True,
}

router = APIRouter(tags=["health"])


@router.get("/healthz", summary="Is the process alive?", responses=error_answers(503))
async def healthz(request: Request) -> Health:
    """503 when an engine's thread has died: only a restart helps then."""
    live = request.app.state.live
    if live is not None and not live.alive:
        raise NotReady("engine_stopped", "the engine of a model has stopped")
    return Health(status="alive")


@router.get(
    "/readyz",
    summary="Is a model loaded, and are requests accepted?",
    responses=error_answers(503),
    response_model_exclude_none=True,
    openapi_extra={"parameters": [VERBOSE]},
)
async def readyz(request: Request) -> Readiness:
    """503 until a model has loaded and compiled, and from the moment the service is told to stop."""
    live, follower, trial = current_live(request), current_follower(request), current_trial(request)
    live.check_ready()
    if "verbose" not in request.query_params:
        return Readiness(status="ready")
    refused = [
        RefusedVersion(name=refusal.model, version=refusal.version, reason=str(refusal.error), times=refusal.times)
        for refusal in (follower.refusals if follower else ())
    ]
    taken_out = [
        TakenOut(name=canary.challenger.name, version=canary.challenger.version, reason=canary.taken_out)
        for canary in (trial.taken_out if trial else ())
    ]
    return Readiness(
        status="ready", models=loaded_versions(live).models, refused=refused, taken_out=taken_out if trial else None
    )
