"""`/`: the web page for drawing a digit or dropping a photo. Static files, in `service/page`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from fastapi import APIRouter, Request, Response
from fastapi.staticfiles import StaticFiles

FOLDER: Final = Path(__file__).parent.parent / "page"
HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-cache",  # browsers revalidate each time, and get a 304 for an unchanged ETag
}


class PageFiles(StaticFiles):
    """The static files of the page, with HEADERS."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        """The file with HEADERS, or a 304."""
        response = super().file_response(*args, **kwargs)
        response.headers.update(HEADERS)
        return response


files = PageFiles(directory=FOLDER)
router = APIRouter(include_in_schema=False)


@router.get("/")
async def index(request: Request) -> Response:
    """The page."""
    return await files.get_response("index.html", request.scope)


@router.get("/favicon.ico")
async def icon(request: Request) -> Response:
    """The icon that browsers request by default, for example on `/docs`."""
    return await files.get_response("icon.svg", request.scope)
