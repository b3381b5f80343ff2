"""The methods of `inference.GRPCInferenceService`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import nullcontext
from typing import Any

import grpc

from common.errors import Unsupported
from service.grpc_api.calls import Access, Call, Calls, Context
from service.grpc_api.infer import ACCESS, InferStream, infer
from service.grpc_api.messages import message_of
from service.grpc_api.schema import CLASSES, SERVICE, Message
from service.inference.gateway import Gateway
from service.open_inference.inference import OpenInference

PROBE, ANY_KEY, ADMIN = Access(is_probe=True), Access(), Access("admin")


class Methods:
    """Answers the calls. Each method takes a request and returns a response."""

    def __init__(self, gateway: Gateway, open_inference: OpenInference, calls: Calls) -> None:
        self._gateway, self._open_inference, self._calls = gateway, open_inference, calls

    def handlers(self) -> Any:
        """Return the service as gRPC takes it."""
        unary = {
            "ServerLive": (PROBE, self._server_live),
            "ServerReady": (PROBE, self._server_ready),
            "ModelReady": (ANY_KEY, self._model_ready),
            "ServerMetadata": (ANY_KEY, self._server_metadata),
            "ModelMetadata": (ANY_KEY, self._model_metadata),
            "ModelConfig": (ANY_KEY, self._model_config),
            "ModelStatistics": (ANY_KEY, self._model_statistics),
            "RepositoryIndex": (ANY_KEY, self._repository_index),
            "RepositoryModelLoad": (ADMIN, self._load),
            "RepositoryModelUnload": (ADMIN, self._unload),
        }
        handlers = {
            name: self._calls.unary(name, access, handle)
            for name, (access, handle) in unary.items()
        }
        handlers["ModelInfer"] = self._calls.unary(
            "ModelInfer", ACCESS, self._model_infer, admit=self._open_inference.working
        )
        handlers["ModelStreamInfer"] = grpc.stream_stream_rpc_method_handler(self._stream_infer)
        return grpc.method_handlers_generic_handler(SERVICE, handlers)

    async def _server_live(self, _: Message, __: Call) -> Message:
        return CLASSES["ServerLiveResponse"](live=not self._gateway.hangs)

    async def _server_ready(self, _: Message, __: Call) -> Message:
        return CLASSES["ServerReadyResponse"](ready=self._gateway.ready)

    async def _model_ready(self, request: Message, _: Call) -> Message:
        ready = await self._open_inference.is_ready(request.name, request.version)
        return CLASSES["ModelReadyResponse"](ready=ready)

    async def _server_metadata(self, _: Message, __: Call) -> Message:
        return message_of("ServerMetadataResponse", self._open_inference.server_metadata())

    async def _model_metadata(self, request: Message, _: Call) -> Message:
        found = await self._open_inference.model_metadata(request.name, request.version)
        return message_of("ModelMetadataResponse", found)

    async def _model_config(self, request: Message, _: Call) -> Message:
        found = await self._open_inference.model_config(request.name, request.version)
        return message_of("ModelConfigResponse", {"config": found})

    async def _model_statistics(self, request: Message, _: Call) -> Message:
        found = await self._open_inference.statistics(request.name, request.version)
        return message_of("ModelStatisticsResponse", {"model_stats": found})

    async def _repository_index(self, request: Message, _: Call) -> Message:
        found = await self._open_inference.index(ready=request.ready)
        return message_of("RepositoryIndexResponse", {"models": found})

    async def _load(self, request: Message, _: Call) -> Message:
        if request.parameters:
            raise Unsupported(
                "models are loaded from the artefacts of the server, not with"
                f" {', '.join(sorted(request.parameters))!r:.80} of the request"
            )
        with self._gateway.working():
            await self._open_inference.load(request.model_name)
        return CLASSES["RepositoryModelLoadResponse"]()

    async def _unload(self, request: Message, _: Call) -> Message:
        with self._gateway.working():
            await self._open_inference.unload(request.model_name)
        return CLASSES["RepositoryModelUnloadResponse"]()

    async def _model_infer(self, request: Message, call: Call) -> Message:
        return await infer(self._open_inference, request, call)

    async def _stream_infer(self, _: object, context: Context) -> AsyncIterator[bytes]:
        async with self._calls.around("ModelStreamInfer", context, ACCESS) as call:
            stream = InferStream(self._calls, self._open_inference, call)
            limits = call.limits
            # Each of its requests names a model; the stream has none.
            with self._gateway.streaming(stream, call.client, model=""):
                async with limits.count_stream(stream) if limits else nullcontext():
                    async for response in stream.run():
                        yield response
