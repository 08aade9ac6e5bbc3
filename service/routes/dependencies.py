"""What a request finds in the application it came to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from service.errors import NotReady

if TYPE_CHECKING:
    from starlette.requests import Request

    from service.feedback.async_corrections import AsyncCorrections
    from service.feedback.recent_predictions import RecentPredictions
    from service.models.experiment import Experiment
    from service.models.registry import ModelRegistry
    from service.models.store_watcher import StoreWatcher
    from service.observability.metrics import Metrics
    from service.protocols.native.image_file import Pictures
    from service.settings import ServiceSettings


def current_live(request: Request) -> ModelRegistry:
    """The loaded versions. Raises NotReady before they are loaded."""
    live: ModelRegistry | None = request.app.state.live
    if live is None:
        raise NotReady("loading", "the service is loading its model")
    return live


def current_follower(request: Request) -> StoreWatcher | None:
    """Who keeps the loaded versions up to date, if anybody does."""
    follower: StoreWatcher | None = request.app.state.follower
    return follower


def current_trial(request: Request) -> Experiment | None:
    """The trial of challengers, if the settings give them anything to do."""
    trial: Experiment | None = request.app.state.trial
    return trial


def current_metrics(request: Request) -> Metrics:
    """The metrics of the application."""
    metrics: Metrics = request.app.state.metrics
    return metrics


def current_settings(request: Request) -> ServiceSettings:
    """The settings of the application."""
    settings: ServiceSettings = request.app.state.settings
    return settings


def current_feedback(request: Request) -> AsyncCorrections:
    """Where the application's corrections go."""
    feedback: AsyncCorrections = request.app.state.feedback
    return feedback


def current_pictures(request: Request) -> Pictures:
    """Where the application's pictures are prepared."""
    pictures: Pictures = request.app.state.pictures
    return pictures


def current_recent(request: Request) -> RecentPredictions:
    """The last predictions of the application."""
    recent: RecentPredictions = request.app.state.recent
    return recent
