"""MLServer's own codecs and its command `mlserver infer` against a server, as JSON lines.

Run in the environment of benchmarks/peers/mlserver.txt: mlserver_client.py URL. The model `toy` is
there, with one input `features` of 26 numbers and the labels tone and noise.
"""

import json
import subprocess
import sys
import tempfile
import traceback
import urllib.request
from pathlib import Path

import numpy as np
from mlserver.codecs import NumpyCodec, NumpyRequestCodec
from mlserver.types import (
    InferenceRequest,
    InferenceResponse,
    MetadataModelResponse,
    MetadataServerResponse,
    Parameters,
    RepositoryIndexResponse,
    RequestOutput,
)

ROWS = np.linspace(-2, 2, 3 * 26, dtype=np.float32).reshape(3, 26)


def post(url, path, body=None):
    """The text of a response."""
    data = None if body is None else body.encode()
    headers = {"Content-Type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(url + path, data, headers)) as response:
        return response.read().decode()


def infer(url, request):
    """The scores of a request, and the response."""
    body = json.dumps(request.model_dump())
    response = InferenceResponse.model_validate_json(post(url, "/v2/models/toy/infer", body))
    found = NumpyCodec.decode_output(response.outputs[0])
    assert found.shape == (3, 2), found.shape
    return found, response


def codecs(url):
    by_input = InferenceRequest(inputs=[NumpyCodec.encode_input("features", ROWS)])
    plain, _ = infer(url, by_input)
    by_request = NumpyRequestCodec.encode_request(ROWS)
    by_request.inputs[0].name = "features"
    assert np.array_equal(infer(url, by_request)[0], plain)
    by_request.id = "a1"
    by_request.outputs = [RequestOutput(name="scores")]
    by_request.parameters = Parameters(content_type="np", headers={"x-mine": "1"})
    found, response = infer(url, by_request)
    assert np.array_equal(found, plain)
    assert response.id == "a1"


def metadata(url):
    server = MetadataServerResponse.model_validate_json(post(url, "/v2"))
    assert server.name == "timbre"
    model = MetadataModelResponse.model_validate_json(post(url, "/v2/models/toy"))
    assert model.inputs[0].shape == [-1, 26]
    index = RepositoryIndexResponse.model_validate_json(post(url, "/v2/repository/index", "{}"))
    assert ("toy", "1") in {(each.name, each.version) for each in index.root}


def command_infer(url):
    """`mlserver infer`: a file of requests to a file of responses, with several at a time."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lines = [
            InferenceRequest(
                id=str(number), inputs=[NumpyCodec.encode_input("features", ROWS)]
            ).model_dump_json()
            for number in range(5)
        ]
        (folder / "in").write_text("\n".join(lines) + "\n")
        command = [Path(sys.executable).with_name("mlserver"), "infer", "--model-name", "toy"]
        command += ["--url", url.removeprefix("http://"), "--workers", "2", "--batch-size", "2"]
        command += ["--input-data-path", folder / "in", "--output-data-path", folder / "out"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        found = (folder / "out").read_text().splitlines()
    assert len(found) == 5, found
    for line in found:
        response = InferenceResponse.model_validate_json(line)
        assert NumpyCodec.decode_output(response.outputs[0]).shape == (3, 2), line


def main(url):
    for function in (codecs, metadata, command_infer):
        try:
            function(url)
            why = ""
        except Exception:
            why = traceback.format_exc()
        print(json.dumps({"call": function.__name__, "error": why}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
