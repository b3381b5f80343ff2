"""ModelInfer, and ModelStreamInfer: many requests on one call, answered in their order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

from common.errors import Late, Leaving, TimbreError
from features.config import Tensor
from models.store import Model
from service.api.authentication import require_scope
from service.grpc_api.call_trace import message_span
from service.grpc_api.calls import Access, Call, Calls
from service.grpc_api.messages import (
    SMALL,
    best_of,
    parameters_of,
    response_to,
    tensor_of,
)
from service.grpc_api.schema import CLASSES, Message
from service.log import redact, unexpected
from service.open_inference.inference import OpenInference
from service.open_inference.outputs import output
from service.open_inference.parameters import InferParameters, read_parameters
from service.open_inference.statistics import RequestCount
from service.open_inference.tensors import input_of, output_of

ACCESS = Access("classify")
IN_FLIGHT = 32
"""Requests of one stream without a response; then it is not read."""
FINAL = ("triton_enable_empty_final_response", "triton_final_response")
"""The parameter of clients that want to be told which response is the last, and where it is."""


async def infer(open_inference: OpenInference, request: Message, call: Call) -> Message:
    """Return the response to a ModelInferRequest, of a call that is admitted.

    Raises InputError, NotFound, NotAllowed, Busy, Late, Leaving, Unsupported.
    """
    left_s = call.left_s
    parameters = read_parameters(parameters_of(request.parameters))
    if left_s is not None:
        limit = left_s if parameters.timeout_s is None else min(left_s, parameters.timeout_s)
        parameters = replace(parameters, timeout_s=limit)
        if limit <= 0:
            raise Late("the deadline passed before the request was read")
    if parameters.urgent and call.limits:
        require_scope(call.limits.key, "stream")
    model = await open_inference.model(request.model_name, request.model_version)
    with open_inference.request(model) as count:
        return await _answer(open_inference, model, request, parameters, count)


async def _answer(
    open_inference: OpenInference,
    model: Model,
    request: Message,
    parameters: InferParameters,
    count: RequestCount,
) -> Message:
    spec = output_of(model)
    best = best_of(request, spec)
    with count.stage("compute_input"):
        tensor = await _tensor(open_inference, model, request)
    scores = await open_inference.infer(model, tensor, parameters, count)
    with count.stage("compute_output"):
        told = output(spec, scores, labels=model.labels, best=best)
        response = response_to(request, told, version=model.version)
    if parameters_of(request.parameters).get(FINAL[0]):
        response.parameters[FINAL[1]].bool_param = True
    return response


async def _tensor(open_inference: OpenInference, model: Model, request: Message) -> Tensor:
    """Return the tensor of a request; many numbers that are not bytes are read in a thread."""
    spec, most = input_of(model), open_inference.max_rows
    if request.raw_input_contents or request.ByteSize() <= SMALL:
        return tensor_of(request, spec, max_rows=most)
    return await asyncio.to_thread(tensor_of, request, spec, max_rows=most)


class InferStream:
    """One ModelStreamInfer: an error of a request is a message, and the stream goes on."""

    def __init__(self, calls: Calls, open_inference: OpenInference, call: Call) -> None:
        self._calls, self._open_inference, self._call = calls, open_inference, call
        self._ending = asyncio.Event()
        self._free = asyncio.Semaphore(IN_FLIGHT)
        self._tasks = set[asyncio.Task[Message]]()
        self._answers = asyncio.Queue[asyncio.Task[Message] | None]()

    def shut_down(self) -> None:
        """Read no more; what was read is answered."""
        self._ending.set()

    async def run(self) -> AsyncIterator[bytes]:
        """Yield the responses. Raises Leaving at shutdown, once all is answered."""
        reading = asyncio.create_task(self._read())
        try:
            while (answer := await self._answers.get()) is not None:
                yield (await answer).SerializeToString()
                self._free.release()
            await reading
        finally:
            for task in (reading, *self._tasks):
                task.cancel()

    async def _read(self) -> None:
        """Start the answer to each request. Raises what ends the stream."""
        ending = asyncio.create_task(self._ending.wait())
        try:
            while not self._ending.is_set():
                await self._free.acquire()
                reading = asyncio.ensure_future(self._call.context.read())
                try:
                    await asyncio.wait({reading, ending}, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    reading.cancel()
                if not reading.done():
                    break
                data = reading.result()
                if not isinstance(data, bytes):
                    return
                answer = asyncio.create_task(self._answer(data))
                self._tasks.add(answer)
                answer.add_done_callback(self._tasks.discard)
                self._answers.put_nowait(answer)
            raise Leaving("the server is shutting down")
        finally:
            ending.cancel()
            self._answers.put_nowait(None)

    async def _answer(self, data: bytes) -> Message:
        """Return the response to one request, or its error."""
        kind, sent_id = CLASSES["ModelStreamInferResponse"], ""
        try:
            with message_span():
                if self._call.limits:
                    await self._call.limits.count_request()
                with self._open_inference.working():
                    async with self._calls.parsed("ModelInferRequest", data) as request:
                        sent_id = request.id
                        response = await infer(self._open_inference, request, self._call)
                        return kind(infer_response=response)
        except Exception as error:  # noqa: BLE001 - a fault is told, it ends nothing
            known = error if isinstance(error, TimbreError) else unexpected(error)
            failed = kind(error_message=redact(str(known)))
            failed.infer_response.id = sent_id
            return failed
