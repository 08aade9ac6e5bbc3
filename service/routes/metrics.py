"""`/metrics` for Prometheus."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from service.observability.metrics import CONTENT_TYPE
from service.routes.dependencies import state_of

router = APIRouter(tags=["health"])


@router.get(
    "/metrics",
    operation_id="metrics",
    summary="Counts and times for Prometheus",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
async def metrics(request: Request) -> Response:
    """Requests by route and status, batches, padding, waiting and computing times, errors by code, versions, memory."""
    found = state_of(request).metrics
    found.refresh()
    return Response(found.exposition(), headers={"Content-Type": CONTENT_TYPE})
