"""`/docs` and `/redoc`: the OpenAPI document for people, with files of this service; all URLs are relative."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import fastapi_offline
from fastapi import APIRouter, Response
from fastapi.openapi.docs import get_redoc_html, get_swagger_ui_html
from fastapi.staticfiles import StaticFiles

OPENAPI: Final = "openapi.json"
FILES: Final = "static-offline-docs"
TITLE: Final = "digits"
ICON: Final = f"{FILES}/favicon.png"

files = StaticFiles(directory=Path(fastapi_offline.__file__).parent / "static")
router = APIRouter(include_in_schema=False)


@router.get("/docs")
async def docs() -> Response:
    """Swagger UI, in which requests can be tried."""
    return get_swagger_ui_html(
        openapi_url=OPENAPI,
        title=f"{TITLE} - Swagger UI",
        swagger_js_url=f"{FILES}/swagger-ui-bundle.js",
        swagger_css_url=f"{FILES}/swagger-ui.css",
        swagger_favicon_url=ICON,
    )


@router.get("/redoc")
async def redoc() -> Response:
    """ReDoc."""
    return get_redoc_html(
        openapi_url=OPENAPI,
        title=f"{TITLE} - ReDoc",
        redoc_js_url=f"{FILES}/redoc.standalone.js",
        redoc_favicon_url=ICON,
        with_google_fonts=False,
    )
