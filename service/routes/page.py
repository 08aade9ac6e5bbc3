"""`/`: a page on which a person draws a digit or drops a photo of one. Plain files, in `service/page`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from fastapi import APIRouter, Request, Response
from fastapi.staticfiles import StaticFiles

FOLDER: Final = Path(__file__).parent.parent / "page"
HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-cache",  # a browser asks each time, and is told 304 as long as the ETag is the same
}


class PageFiles(StaticFiles):
    """The files of the page, each with HEADERS."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        """The file, or 304 for whoever has it."""
        response = super().file_response(*args, **kwargs)
        response.headers.update(HEADERS)
        return response


files = PageFiles(directory=FOLDER)
router = APIRouter(include_in_schema=False)
READ: Final = ["GET", "HEAD"]


@router.api_route("/", methods=READ)
async def index(request: Request) -> Response:
    """The page."""
    return await files.get_response("index.html", request.scope)


@router.api_route("/favicon.ico", methods=READ)
async def icon(request: Request) -> Response:
    """The icon that browsers ask for on their own, on `/docs` for one."""
    return await files.get_response("icon.svg", request.scope)
