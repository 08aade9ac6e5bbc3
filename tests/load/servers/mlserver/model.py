"""The network as a model of MLServer."""

from fastapi import Request, Response
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.handlers import custom_handler
from mlserver.types import InferenceRequest, InferenceResponse

from tests.load.servers.bodies import answer_of, pixels_of_bytes
from tests.load.servers.torch_network import TorchNetwork

THREADS = 2


class Digits(MLModel):
    """The ten probabilities of each picture."""

    async def load(self) -> bool:
        self.network = TorchNetwork(self.settings.parameters.uri, THREADS)
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """For an input of shape [n, 784], joined with those of others."""
        pixels = NumpyCodec.decode_input(payload.inputs[0])  # uint8 [n, 784]
        answer = NumpyCodec.encode_output("probabilities", self.network(pixels))
        return InferenceResponse(model_name=self.name, outputs=[answer])

    @custom_handler(rest_path="/predict_bytes")
    async def predict_bytes(self, request: Request) -> Response:
        """For n * 784 bytes."""
        probabilities = self.network(pixels_of_bytes(await request.body()))
        return Response(answer_of(probabilities), media_type="application/json")
