"""Pydantic schemas of `/healthz`, `/readyz`, `/models` and `/manage`."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, Field


class Health(BaseModel):
    """The process is alive, or ready."""

    status: str


class RefusedVersion(BaseModel):
    """A version that is wanted and could not be loaded."""

    name: str
    version: Annotated[int | None, Field(description="null: the store itself cannot be read")]
    reason: str
    times: Annotated[int, Field(description="How often it was tried")]


class TakenOut(BaseModel):
    """A challenger that answers no requests any more."""

    name: str
    version: int
    reason: str


class LoadedVersionSummary(BaseModel):
    """A version that answers requests."""

    name: str
    version: int
    aliases: Annotated[list[str], Field(description="What else it can be called in `?version=`")]
    default: Annotated[bool, Field(description="Whether it answers when a request names no model and no version")]


class LoadedModels(BaseModel):
    """All that is loaded."""

    models: list[LoadedVersionSummary]


class Readiness(Health):
    """The service is ready; verbose, also for what."""

    models: list[LoadedVersionSummary] | None = None
    refused: Annotated[list[RefusedVersion] | None, Field(description="What is wanted and stays out")] = None
    taken_out: Annotated[list[TakenOut] | None, Field(description="Challengers that failed their trial")] = None


class VersionCard(BaseModel):
    """The card of a loaded version: layers, recipe, data, metrics, code, libraries."""

    name: str
    version: int
    aliases: list[str]
    card: dict[str, Any]
