"""`/docs` and `/redoc`: the OpenAPI document for people, with files of this service; all URLs are relative."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import fastapi_offline
from fastapi import APIRouter, Response
from fastapi.openapi.docs import get_redoc_html
from fastapi.responses import HTMLResponse
from fastapi.staticfiles import StaticFiles

OPENAPI: Final = "openapi.json"
FILES: Final = "static-offline-docs"
TITLE: Final = "digits"
ICON: Final = f"{FILES}/favicon.png"

SWAGGER: Final = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{TITLE} - Swagger UI</title>
<link rel="icon" href="{ICON}">
<link rel="stylesheet" href="{FILES}/swagger-ui.css">
<link rel="stylesheet" href="page/docs.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="{FILES}/swagger-ui-bundle.js"></script>
<script src="page/docs.js" type="module"></script>
</body>
</html>
"""

files = StaticFiles(directory=Path(fastapi_offline.__file__).parent / "static")
router = APIRouter(include_in_schema=False)


@router.get("/docs")
async def docs() -> Response:
    """Swagger UI, in which requests can be tried."""
    return HTMLResponse(SWAGGER)


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
