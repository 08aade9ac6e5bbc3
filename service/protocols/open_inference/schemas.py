"""Pydantic schemas of the Open Inference Protocol, for the OpenAPI page and for tests."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, Field

from service.protocols.open_inference.tensors import IN_JSON, INPUT, OUTPUT_METADATA

Values: TypeAlias = list[float] | list[list[float]] | list[list[list[float]]] | list[list[list[list[float]]]]
Id: TypeAlias = Annotated[str, Field(description="Comes back in the answer")]


class RequestParameters(BaseModel):
    """Of a request. Others are left alone."""

    scale: Annotated[
        float, Field(ge=1e-300, le=1e300, description="The value that means full ink, 255 without it; 0 is background")
    ] = 255
    binary_data_output: Annotated[
        bool, Field(description="Whether outputs come in binary behind the JSON; false without it")
    ] = False


class InputTensor(BaseModel):
    """Pictures. In place of `data`, `parameters` may have `binary_data_size`, with the bytes behind the JSON."""

    name: Annotated[str, Field(json_schema_extra={"const": INPUT})]
    shape: Annotated[
        list[int],
        Field(min_length=2, max_length=4, description="[n, 784], [n, 28, 28] or [n, 28, 28, 1] for n pictures"),
    ]
    datatype: Annotated[str, Field(json_schema_extra={"enum": [*IN_JSON]}, description="FP16, too, in binary")]
    data: Annotated[Values, Field(description="Row-major, flat or nested as the shape is; 0 to `scale`")]
    parameters: dict[str, Any] | None = None


class OutputParameters(BaseModel):
    """Of an output."""

    binary_data: Annotated[
        bool, Field(description="Whether it comes in binary behind the JSON; without it as the request says")
    ] = False
    classification: Annotated[
        int | None, Field(ge=1, description="So many of the best classes as `value:index`, for `probabilities`")
    ] = None


class RequestedOutput(BaseModel):
    """An output that is wanted."""

    name: Annotated[str, Field(json_schema_extra={"enum": [output["name"] for output in OUTPUT_METADATA]})]
    parameters: OutputParameters | None = None


class InferRequest(BaseModel):
    """Pictures, and what is wanted of the answer; all outputs where it does not say."""

    id: Id | None = None
    parameters: RequestParameters | None = None
    inputs: Annotated[list[InputTensor], Field(min_length=1, max_length=1)]
    outputs: list[RequestedOutput] | None = None


class OutputTensor(BaseModel):
    """Values for n pictures: `data` row-major, or `binary_data_size` bytes behind the JSON."""

    name: str
    datatype: Literal["FP32", "INT64", "BYTES"]
    shape: list[int]
    parameters: dict[str, Any] | None = None
    data: list[float] | list[str] | None = None


class InferResponse(BaseModel):
    """What pictures show, and who says so."""

    model_name: str
    model_version: str
    id: Id | None = None
    outputs: list[OutputTensor]


class TensorMetadata(BaseModel):
    """An input or an output; -1 in its shape is any number."""

    name: str
    datatype: str
    shape: list[int]


class ServerMetadata(BaseModel):
    """The server, and what of the protocol it speaks."""

    name: str
    version: str
    extensions: list[str]


class InferenceModelMetadata(BaseModel):
    """Inputs and outputs of a model."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class Live(BaseModel):
    """The process is alive."""

    live: bool


class Ready(BaseModel):
    """The service is ready."""

    ready: bool


class ModelReady(Ready):
    """A model is ready."""

    name: str


class IndexRequest(BaseModel):
    """What is to be listed."""

    ready: Annotated[bool, Field(description="Only what answers requests; false without it")] = False


class IndexEntry(BaseModel):
    """A version that is loaded, or that is wanted and stays out."""

    name: str
    version: Annotated[str | None, Field(description="null: the store says nothing of the model")]
    state: Literal["READY", "UNAVAILABLE"]
    reason: str


class LoadRequest(BaseModel):
    """Nothing: models come from the store as they are."""

    parameters: Annotated[dict[str, Any] | None, Field(json_schema_extra={"maxProperties": 0})] = None


class Loaded(BaseModel):
    """A model is loaded."""

    name: str
    load: bool
