"""Predicts one picture and many with the client that openapi-python-client makes; argument: the service's URL."""

import io
import json
import sys

from digits_client import Client
from digits_client.api.feedback import add_correction, delete_correction
from digits_client.api.open_inference_protocol import v2_infer, v2_metadata
from digits_client.api.predict import predict
from digits_client.api.tensor_flow_serving import v1_predict
from digits_client.models import (
    DeletedCorrection,
    ErrorAnswer,
    InferenceModelMetadata,
    InferRequest,
    InferResponse,
    InputTensor,
    InputTensorDatatype,
    KeptCorrection,
    LineAnswer,
    ManyAnswers,
    ManyPictures,
    OneAnswer,
    OnePicture,
    PictureCorrection,
    PictureFiles,
    RowAnswer,
    RowRequest,
)
from digits_client.types import File

client = Client(base_url=sys.argv[1])
pixels: list[float] = [7.0] + [0.0] * 783  # FakePredictor reads the first one

one = predict.sync(client=client, body=OnePicture(pixels=pixels))
assert isinstance(one, OneAnswer)
digits: list[int] = [one.digit]
confidence: float = one.confidence
accepted: bool | None = one.accepted
model: str = one.model.name

many = predict.sync(client=client, body=ManyPictures(instances=[pixels, [8.0] + [0.0] * 783]))
assert isinstance(many, ManyAnswers)
digits += [prediction.digit for prediction in many.predictions]

with open(sys.argv[2], "rb") as picture:
    file = File(payload=io.BytesIO(picture.read()), file_name="seven.png", mime_type="image/png")
sent = predict.sync(client=client, body=PictureFiles(file=[file]))
assert isinstance(sent, OneAnswer)
file.payload.seek(0)
line = predict.sync(client=client, body=PictureFiles(file=[file]), read="line")
assert isinstance(line, LineAnswer)

wrong = predict.sync(client=client, body=OnePicture(pixels=pixels[1:]))
assert isinstance(wrong, ErrorAnswer)

rows = v1_predict.sync("lenet", client=client, body=RowRequest(instances=[pixels]))
assert isinstance(rows, RowAnswer)
probabilities: list[float] = rows.predictions[0]

metadata = v2_metadata.sync("lenet", client=client)
assert isinstance(metadata, InferenceModelMetadata)
tensor = InputTensor(name="pixels", shape=[1, 784], datatype=InputTensorDatatype.UINT8, data=pixels)
inferred = v2_infer.sync("lenet", client=client, body=InferRequest(inputs=[tensor]))
assert isinstance(inferred, InferResponse)

kept = add_correction.sync(client=client, body=PictureCorrection(pixels=pixels, digit=1), idempotency_key="mine")
assert isinstance(kept, KeptCorrection)
deleted = delete_correction.sync(kept.id, client=client, idempotency_key="mine")
assert isinstance(deleted, DeletedCorrection)

found = {"digits": digits, "model": model, "error": wrong.error.code, "line": line.text, "v1": len(probabilities)}
print(json.dumps({**found, "v2": [inferred.outputs[1].data, metadata.versions], "deleted": deleted.deleted}))
