"""Response bodies of `POST /predict`: many predictions are encoded piece by piece, and one without a table."""

import json
from types import SimpleNamespace

import numpy as np
import orjson
import pytest

from service.protocols.native import response
from service.protocols.native.query import DEFAULT_FIELDS, FIELDS
from service.protocols.native.response import PIECE_ROWS, encode_json
from tests.support.fake_predictor import columns_of, picture
from training.answers import ACCEPTED, COLUMNS, DIGIT, NOT_A_DIGIT, UNCERTAIN, VERDICT, Answers

RNG = np.random.default_rng(0)


def encoded(rows):
    """The body of so many answers with all fields, and what went into it."""
    columns = RNG.random((rows, COLUMNS), np.float32)
    columns[:, DIGIT], columns[:, VERDICT] = RNG.integers(0, 10, rows), RNG.integers(0, 3, rows)
    images, sets = RNG.integers(0, 256, (rows, 28, 28), np.uint8), RNG.integers(0, 2, (rows, 10)).astype(bool)
    body = encode_json(Answers(columns), images, name="lenet", version=3, many=True, fields=FIELDS, sets=sets)
    return body, columns, images, sets


@pytest.mark.parametrize("rows", [1, PIECE_ROWS, PIECE_ROWS + 1, 3 * PIECE_ROWS])
def test_every_prediction_is_in_its_place_however_many_pieces_there_are(rows):
    body, columns, images, sets = encoded(rows)
    assert body.endswith(b"}\n")
    answer = orjson.loads(body)
    assert [*answer] == ["predictions", "model"]
    assert answer["model"] == {"name": "lenet", "version": 3}
    predictions = answer["predictions"]
    assert [[*prediction] for prediction in predictions] == [[*FIELDS]] * rows
    assert [prediction["digit"] for prediction in predictions] == columns[:, DIGIT].tolist()
    assert [prediction["pixels"] for prediction in predictions] == images.reshape(rows, -1).tolist()
    assert [prediction["prediction_set"] for prediction in predictions] == [np.flatnonzero(of).tolist() for of in sets]
    assert [prediction["probabilities"] for prediction in predictions] == pytest.approx(columns[:, :10])


def test_no_call_of_orjson_encodes_many_predictions(monkeypatch):
    """orjson keeps the GIL: 4,096 predictions with pixels delayed the event loop by 30 ms."""
    encoded_at_once = []

    def dumps(value, option=None):
        encoded_at_once.append(len(value))
        return orjson.dumps(value, option=option)

    monkeypatch.setattr(
        response, "orjson", SimpleNamespace(dumps=dumps, OPT_SERIALIZE_NUMPY=orjson.OPT_SERIALIZE_NUMPY)
    )
    encoded(3 * PIECE_ROWS + 1)
    assert encoded_at_once[:-1] == [PIECE_ROWS] * 3 + [1]


def answers(verdict: int, *, judged: bool = True) -> Answers:
    columns = columns_of(np.array([[0.1, 0.7, 0.05, 1e-7, 0.15, 0, 0, 0, 0, 0]], np.float32))
    columns[:, VERDICT] = verdict
    return Answers(columns, judged)


@pytest.mark.parametrize("judged", [True, False])
@pytest.mark.parametrize("verdict", [ACCEPTED, UNCERTAIN, NOT_A_DIGIT])
def test_one_answer_is_written_as_a_table_of_one_row_would_be(verdict, judged):
    def encoded(fields: list[str] | tuple[str, ...]) -> bytes:
        images = picture(1)[None]
        return encode_json(answers(verdict, judged=judged), images, name="lenet", version=3, many=False, fields=fields)

    found = encoded(DEFAULT_FIELDS)
    assert found == encoded([*DEFAULT_FIELDS])
    assert json.loads(found)["digit"] == 1
    assert b"1e-7" in found, "numbers are written with the digits of float32"
