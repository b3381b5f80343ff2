"""Features in, scores out by MLServer: a runtime of its own, for there is none for ONNX."""

import onnxruntime
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceResponse


class Scores(MLModel):
    async def load(self):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(self.settings.parameters.uri, options)
        return True

    async def predict(self, payload):
        rows = NumpyCodec.decode_input(payload.inputs[0])
        scores = self.session.run(["scores"], {"features": rows.astype("float32")})[0]
        output = NumpyCodec.encode_output("scores", scores)
        return InferenceResponse(model_name=self.name, model_version="1", outputs=[output])
