"""Response bodies of `POST /predict`: predictions of a large request, encoded piece by piece."""

from types import SimpleNamespace

import numpy as np
import orjson
import pytest

from service.protocols.native import response
from service.protocols.native.query import FIELDS
from service.protocols.native.response import PIECE_ROWS, encode_json
from training.answers import COLUMNS, DIGIT, VERDICT, Answers

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
