"""Dependencies of endpoints: the state of the process, the loaded registry, a management key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

if TYPE_CHECKING:
    from service.auth.keys import Right
    from service.models.registry import ModelRegistry
    from service.state import ServiceState

bearer: Final = HTTPBearer(
    auto_error=False, description="A key with the right for the route; a management key has every right"
)
bearer_credentials: Final = Depends(bearer)


def state_of(request: Request) -> ServiceState:
    """The state of the process, from the application of the request."""
    state: ServiceState = request.scope["app"].service
    return state


def loaded_registry(request: Request) -> ModelRegistry:
    """The model registry. Raises NotReady before a model is loaded."""
    registry = state_of(request).registry
    registry.check_loaded()
    return registry


async def require_key(request: Request, credentials: HTTPAuthorizationCredentials | None = bearer_credentials) -> str:
    """The owner of the management key in a request. Raises the errors of `Keys.check`."""
    authorization = f"Bearer {credentials.credentials}" if credentials else None
    return state_of(request).keys.check(authorization, "manage")


def check_required_key(request: Request, right: Right) -> None:
    """Checks the key of a request if the settings require one for a right. Raises the errors of `Keys.check`."""
    state = state_of(request)
    if right in state.settings.require_key:
        state.keys.check(request.headers.get("Authorization"), right)
