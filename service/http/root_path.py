"""Root path: the prefix under which a proxy shows the service, taken off the paths of requests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import RedirectResponse

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from starlette.types import ASGIApp, Receive, Scope, Send


class RootPath:
    """Middleware: takes the root path, such as `/digits`, off a path that begins with it.

    Proxies that leave the prefix in the path are served as well as those that strip it. All that is inside sees no
    prefix: its URLs are relative. A request for the root path itself is redirected to the page below it.
    """

    def __init__(self, app: ASGIApp, root_path: str) -> None:
        self._app, self._root_path, self._folder = app, root_path, f"{root_path}/"

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Passes a request on to the application."""
        path = scope.get("path", "")
        if path.startswith(self._folder):
            scope = {**scope, "path": path[len(self._root_path) :]}
        elif path == self._root_path:
            return RedirectResponse(self._folder)(scope, receive, send)
        return self._app(scope, receive, send)
