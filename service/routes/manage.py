"""`/manage`: management of the service, with a management key."""

from __future__ import annotations

from fastapi import APIRouter, Depends, Request

from service.errors import NotReady, VersionRefused
from service.http.error_schemas import error_answers
from service.models.store_thread import StoreTimeout
from service.routes.dependencies import loaded_registry, require_key, state_of
from service.routes.models import loaded_versions
from service.routes.schemas import LoadedModels  # noqa: TC001 - FastAPI reads the annotation

router = APIRouter(prefix="/manage", tags=["manage"], dependencies=[Depends(require_key)])


@router.post(
    "/reload", operation_id="reload", summary="Look at the store now", responses=error_answers(401, 403, 409, 503)
)
async def reload(request: Request) -> LoadedModels:
    """Loads what is new and retires what is wanted no more; says what is loaded then.

    409 when a version could not be loaded, and 503 when the store does not answer: what ran before goes on. Of several
    workers all do it; one of them answers.
    """
    await sync_now(request)
    return loaded_versions(state_of(request).registry)


async def sync_now(request: Request, model: str | None = None) -> None:
    """Makes the store watchers of all workers poll the store now.

    Raises VersionRefused when a wanted version could not be loaded: of `model`, or by default of any model. Raises
    NotReady when the store does not answer.
    """
    loaded_registry(request)
    state = state_of(request)
    if state.watcher:
        try:
            await state.watcher.sync()
        except StoreTimeout as error:
            raise NotReady("store_timeout", str(error)) from None
        state.notify_workers()
        if rejected := [each for each in state.watcher.rejected if model in (None, each.model)]:
            for each in rejected:
                if isinstance(each.error, StoreTimeout):
                    raise NotReady("store_timeout", str(each.error))
            titles = ", ".join(each.title for each in rejected)
            reasons = "; ".join(f"{each.title} stays out: {each.error}" for each in rejected)
            raise VersionRefused("version_refused", reasons, found=titles, wanted="versions that can be loaded")
