"""Corrections as tests send them to `/feedback`, the answers that are expected, and what is kept of them."""

import time
from contextlib import asynccontextmanager

from service.http.error_schemas import FEEDBACK_ERRORS
from tests.support.application import app_with, client_of
from tests.support.fake_predictor import FakePredictor, picture
from training.corrections import Corrections

PIXELS = picture(7, 300).ravel().tolist()
WHOLE = {"pixels": PIXELS, "digit": 7, "model": "lenet", "version": 3, "predicted": 1}


@asynccontextmanager
async def client_with(url, **options):
    async with client_of(app_with(FakePredictor(), feedback_url=url, **options)) as client:
        yield client


def kept(url):
    corrections = Corrections(url)
    corrections.prepare()
    try:
        return corrections.all()
    finally:
        corrections.close()


def problem(response, status, code):
    """The message of a response that is this error, in the one shape that errors have."""
    assert response.status_code == status, response.text
    error = response.json()["error"]
    assert error["code"] == code
    assert code in FEEDBACK_ERRORS[status][1]  # documented
    assert ("Retry-After" in response.headers) == (status == 503)
    return error["message"]


async def predicts(client):
    """Answers, at once."""
    before = time.monotonic()
    response = await client.post("/predict", json={"pixels": PIXELS})
    assert response.status_code == 200
    assert time.monotonic() - before < 1
    return response.json()["digit"] == 7
