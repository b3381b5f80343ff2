"""The ways by the Open Inference Protocol: the tensors of this process are sent by HTTP or gRPC."""

from __future__ import annotations

from typing import Any

import aiohttp
import numpy as np

from common.errors import TimbreError, Unprocessable
from common.mapping import parse_json
from common.strict_json import to_json
from service.client import Client
from service.client.transport import TIMEOUT, problem, unreachable
from service.prove.case import Case, found_in_tensor
from service.prove.comparison import Found

HEADER = "Inference-Header-Content-Length"
ROWS = 64
"""Of one request: a long sound must not be past the size of a message."""
DATATYPES = {"float32": "FP32", "uint8": "UINT8"}
CALL_S = 120.0


async def over_http(case: Case, client: Client) -> Found:
    """Post the tensors, as bytes. Raises TimbreError."""
    rows, version = list[list[float]](), ""
    async with client.session() as session:
        for at in range(0, len(case.tensors), ROWS):
            found, version = await _post(case, session, client.url, case.tensors[at : at + ROWS])
            rows += found
    return found_in_tensor(case.model, version, rows, case.starts)


async def _post(
    case: Case, session: aiohttp.ClientSession, url: str, tensor: Any
) -> tuple[list[list[float]], str]:
    raw = tensor.tobytes()
    head = to_json(
        {
            "inputs": [
                {
                    "name": case.model.session.names[0],
                    "datatype": DATATYPES[str(tensor.dtype)],
                    "shape": list(tensor.shape),
                    "parameters": {"binary_data_size": len(raw)},
                }
            ],
            "parameters": {"binary_data_output": True},
        }
    ).encode()
    address = f"{url}/v2/models/{case.model.name}/infer"
    try:
        async with session.post(
            address, data=head + raw, headers={HEADER: str(len(head))}, timeout=TIMEOUT
        ) as response:
            status, body, size = (
                response.status,
                await response.read(),
                response.headers.get(HEADER),
            )
    except (aiohttp.ClientError, OSError) as error:
        raise unreachable(url, error) from error
    if status != 200 or size is None:
        raise problem(status, parse_json(body, error=TimbreError, where="the response"))
    document = parse_json(body[: int(size)], error=TimbreError, where="the response")
    scores = np.frombuffer(body[int(size) :], "<f4").reshape(document["outputs"][0]["shape"])
    return scores.tolist(), str(document["model_version"])


async def over_grpc(case: Case, address: str, token: str | None, *, roots: bytes | None) -> Found:
    """Call ModelInfer with the tensors. Raises TimbreError.

    roots: certificates to trust, PEM, empty for the system's; None: without TLS.
    """
    try:
        import grpc

        from service.grpc_api.schema import CLASSES
    except ImportError as error:
        raise Unprocessable(f"gRPC needs the extra grpc of Timbre: {error}") from error
    metadata = (("authorization", f"Bearer {token}"),) if token else ()
    rows, version = list[list[float]](), ""
    async with _channel(address, roots) as channel:
        call = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        for at in range(0, len(case.tensors), ROWS):
            request = _request(CLASSES["ModelInferRequest"], case, case.tensors[at : at + ROWS])
            try:
                data = await call(request.SerializeToString(), timeout=CALL_S, metadata=metadata)
            except grpc.aio.AioRpcError as error:
                raise TimbreError(f"{error.code().name}: {error.details()}") from error
            response = CLASSES["ModelInferResponse"].FromString(data)
            scores = np.frombuffer(response.raw_output_contents[0], "<f4")
            rows += scores.reshape(response.outputs[0].shape).tolist()
            version = response.model_version
    return found_in_tensor(case.model, version, rows, case.starts)


def _request(kind: Any, case: Case, tensor: Any) -> Any:
    request = kind(model_name=case.model.name, raw_input_contents=[tensor.tobytes()])
    name, datatype = case.model.session.names[0], DATATYPES[str(tensor.dtype)]
    request.inputs.add(name=name, datatype=datatype, shape=tensor.shape)
    return request


def _channel(address: str, roots: bytes | None) -> Any:
    import grpc

    options = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
    if roots is None:
        return grpc.aio.insecure_channel(address, options=options)
    return grpc.aio.secure_channel(
        address, grpc.ssl_channel_credentials(roots or None), options=options
    )
