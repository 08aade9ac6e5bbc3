"""`/manage`: for those who run the service, with a key."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import APIRouter, Depends, Request

from service.auth.keys import require_key
from service.errors import VersionRefused
from service.protocols.native.schemas import LoadedModels, error_answers
from service.routes.dependencies import current_follower, current_live
from service.routes.models import loaded_versions

if TYPE_CHECKING:
    from service.models.registry import ModelRegistry

router = APIRouter(prefix="/manage", tags=["manage"], dependencies=[Depends(require_key)])


@router.post("/reload", summary="Look at the store now", responses=error_answers(401, 403, 409, 503))
async def reload(request: Request) -> LoadedModels:
    """Loads what is new and retires what is wanted no more; says what is loaded then.

    409 when a version could not be loaded: what ran before goes on. Of several workers all do it; one of them answers.
    """
    return loaded_versions(await follow_now(request))


async def follow_now(request: Request, model: str | None = None) -> ModelRegistry:
    """What is loaded after another look at the store.

    Raises VersionRefused when something stays out that is wanted, of one model or of any.
    """
    live, follower = current_live(request), current_follower(request)
    if follower:
        await follower.follow(live)
        request.app.state.tell_others()
        if refused := [refusal for refusal in follower.refusals if model in (None, refusal.model)]:
            titles = ", ".join(refusal.title for refusal in refused)
            reasons = "; ".join(f"{refusal.title} stays out: {refusal.error}" for refusal in refused)
            raise VersionRefused("version_refused", reasons, found=titles, wanted="versions that can be loaded")
    return live
