"""`/models`: the loaded versions, and the card of each version."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
from fastapi import APIRouter, Request

from service.http.error_schemas import error_answers
from service.routes.dependencies import loaded_registry
from service.routes.schemas import LoadedModels, LoadedVersionSummary, VersionCard

if TYPE_CHECKING:
    from service.models.registry import ModelRegistry

PARAMETERS: Final = {
    "name": "The model",
    "version": "Its version, as a number or an alias such as `champion`",
}

router = APIRouter(prefix="/models", tags=["models"])


@router.get("", operation_id="list_models", summary="What is loaded", responses=error_answers(503))
async def models(request: Request) -> LoadedModels:
    """All loaded versions, with their aliases."""
    return loaded_versions(loaded_registry(request))


@router.get(
    "/{name}/versions/{version}",
    operation_id="get_card",
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
    registry = loaded_registry(request)
    found = registry.resolve(request.path_params["name"], request.path_params["version"])
    return VersionCard(
        name=found.name,
        version=found.version,
        aliases=registry.model(found.name).names(found),
        card=msgspec.to_builtins(found.predictor.card),
    )


def loaded_versions(registry: ModelRegistry) -> LoadedModels:
    """All loaded versions, in the schema of the routes."""
    return LoadedModels(
        models=[
            LoadedVersionSummary(
                name=name,
                version=version.version,
                aliases=model.names(version),
                default=name == registry.default_model and version is model.default,
            )
            for name, model in registry.models().items()
            for version in model.versions.values()
        ]
    )
