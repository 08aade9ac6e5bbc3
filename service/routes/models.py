"""`/models`: what is loaded, and the cards that any answer can be traced to."""

from __future__ import annotations

from typing import Final

import msgspec
from fastapi import APIRouter, Request

from service.routes.current import current_live
from service.schemas import LoadedModels, LoadedVersion, VersionCard, error_answers

PARAMETERS: Final = {
    "name": "The model",
    "version": "Its version, as a number or an alias such as `champion`",
}

router = APIRouter(prefix="/models", tags=["models"])


@router.get("", summary="What is loaded", responses=error_answers(503))
async def models(request: Request) -> LoadedModels:
    """All loaded versions, with their aliases."""
    live = current_live(request)
    return LoadedModels(
        models=[
            LoadedVersion(
                name=version.name,
                version=version.version,
                aliases=live.aliases(version),
                default=version.name == live.default_model,
            )
            for version in live.versions()
        ]
    )


@router.get(
    "/{name}/versions/{version}",
    summary="The card of a loaded version",
    responses=error_answers(404, 503),
    openapi_extra={
        "parameters": [
            {"name": name, "in": "path", "required": True, "description": text, "schema": {"type": "string"}}
            for name, text in PARAMETERS.items()
        ]
    },
)
async def card(request: Request) -> VersionCard:
    """Layers, recipe, seed, data hash, metrics, code and libraries of the version."""
    live = current_live(request)
    found = live.resolve(request.path_params["name"], request.path_params["version"])
    return VersionCard(
        name=found.name,
        version=found.version,
        aliases=live.aliases(found),
        card=msgspec.to_builtins(found.predictor.card),
    )
