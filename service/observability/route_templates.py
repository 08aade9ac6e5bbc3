"""Route templates, such as `/models/{name}`, as label values: paths would make too many time series."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from starlette.routing import compile_path

if TYPE_CHECKING:
    from collections.abc import Iterable

OTHER: Final = "other"
"""The template of every path without a route."""


class RouteTemplates:
    """The route templates of an application, in its routing order."""

    def __init__(self, templates: Iterable[str]) -> None:
        self._patterns = [(compile_path(template)[0], template) for template in dict.fromkeys(templates)]

    def match(self, path: str) -> str:
        """The template that a path matches, or OTHER."""
        return next((template for pattern, template in self._patterns if pattern.match(path)), OTHER)
