"""What endpoints take from a request: the state of the process, and a management key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

if TYPE_CHECKING:
    from service.models.registry import ModelRegistry
    from service.state import ServiceState

bearer: Final = HTTPBearer(auto_error=False, description="A management key")
given: Final = Depends(bearer)


def state_of(request: Request) -> ServiceState:
    """The state of the process that answers the request."""
    state: ServiceState = request.app.state.service
    return state


def loaded_registry(request: Request) -> ModelRegistry:
    """The loaded models. Raises NotReady before any is loaded."""
    registry = state_of(request).registry
    registry.check_loaded()
    return registry


async def require_key(request: Request, credentials: HTTPAuthorizationCredentials | None = given) -> str:
    """The name of the management key that a request brings. Raises what `Keys.check` raises."""
    authorization = f"Bearer {credentials.credentials}" if credentials else None
    return state_of(request).keys.check(authorization, "manage")
