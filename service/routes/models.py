"""`/models`: what is loaded, and the cards that any answer can be traced to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
from fastapi import APIRouter, Request

from service.protocols.native.schemas import LoadedModels, LoadedVersionSummary, VersionCard, error_answers
from service.routes.dependencies import current_live

if TYPE_CHECKING:
    from service.models.registry import ModelRegistry

PARAMETERS: Final = {
    "name": "The model",
    "version": "Its version, as a number or an alias such as `champion`",
}

router = APIRouter(prefix="/models", tags=["models"])


@router.get("", summary="What is loaded", responses=error_answers(503))
async def models(request: Request) -> LoadedModels:
    """All loaded versions, with their aliases."""
    return loaded_versions(current_live(request))


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
        aliases=live.model(found.name).names(found),
        card=msgspec.to_builtins(found.predictor.card),
    )


def loaded_versions(live: ModelRegistry) -> LoadedModels:
    """All that is loaded, as routes say it."""
    return LoadedModels(
        models=[
            LoadedVersionSummary(
                name=name,
                version=version.version,
                aliases=model.names(version),
                default=name == live.default_model and version is model.default,
            )
            for name, model in live.models().items()
            for version in model.versions.values()
        ]
    )
