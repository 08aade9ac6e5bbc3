"""`/healthz` says whether to restart this process, `/readyz` whether to send it requests."""

from __future__ import annotations

from fastapi import APIRouter, Request

from service.errors import NotReady
from service.routes.current import current_live
from service.schemas import Health, error_answers

router = APIRouter(tags=["health"])


@router.get("/healthz", summary="Is the process alive?", responses=error_answers(503))
async def healthz(request: Request) -> Health:
    """503 when an engine's thread has died: only a restart helps then."""
    live = request.app.state.live
    if live is not None and not live.alive:
        raise NotReady("engine_stopped", "the engine of a model has stopped")
    return Health(status="alive")


@router.get("/readyz", summary="Is a model loaded, and are requests accepted?", responses=error_answers(503))
async def readyz(request: Request) -> Health:
    """503 until a model has loaded and compiled, and from the moment the service is told to stop."""
    current_live(request).check_ready()
    return Health(status="ready")
