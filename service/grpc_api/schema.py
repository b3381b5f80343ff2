"""The messages of the Open Inference Protocol over gRPC, and of gRPC's health checks.

They are described here instead of generated: generated modules refuse other versions of protobuf
than theirs, and two of one package, such as a client's, clash in a process. These have a pool of
their own. Names and numbers are those of Triton's `grpc_service.proto`, of which the open protocol
is a part; parts that are never sent are left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

Message: TypeAlias = Any
"""An instance of one of the classes below."""
SERVICE = "inference.GRPCInferenceService"
"""Of which all methods but those of the health checks are."""
_FIELD = descriptor_pb2.FieldDescriptorProto
_SCALARS = {
    "bool": _FIELD.TYPE_BOOL,
    "bytes": _FIELD.TYPE_BYTES,
    "double": _FIELD.TYPE_DOUBLE,
    "float": _FIELD.TYPE_FLOAT,
    "int32": _FIELD.TYPE_INT32,
    "int64": _FIELD.TYPE_INT64,
    "string": _FIELD.TYPE_STRING,
    "uint32": _FIELD.TYPE_UINT32,
    "uint64": _FIELD.TYPE_UINT64,
}
_CHOICE = "parameter_choice"
_NAMED = "name:string=1 version:string=2"
_TENSOR = "name:string=1 datatype:string=2 shape:int64*=3"

# A field is NAME:TYPE=NUMBER, with * behind the type if repeated; {TYPE} is a map from strings.
INFERENCE = {
    "ServerLiveRequest": "",
    "ServerLiveResponse": "live:bool=1",
    "ServerReadyRequest": "",
    "ServerReadyResponse": "ready:bool=1",
    "ModelReadyRequest": _NAMED,
    "ModelReadyResponse": "ready:bool=1",
    "ServerMetadataRequest": "",
    "ServerMetadataResponse": f"{_NAMED} extensions:string*=3",
    "ModelMetadataRequest": _NAMED,
    "ModelMetadataResponse": "name:string=1 versions:string*=2 platform:string=3"
    " inputs:ModelMetadataResponse.TensorMetadata*=4"
    " outputs:ModelMetadataResponse.TensorMetadata*=5",
    "ModelMetadataResponse.TensorMetadata": _TENSOR,
    "InferParameter": "bool_param:bool=1 int64_param:int64=2 string_param:string=3"
    " double_param:double=4 uint64_param:uint64=5",
    "InferTensorContents": "bool_contents:bool*=1 int_contents:int32*=2 int64_contents:int64*=3"
    " uint_contents:uint32*=4 uint64_contents:uint64*=5 fp32_contents:float*=6"
    " fp64_contents:double*=7 bytes_contents:bytes*=8",
    "ModelInferRequest": "model_name:string=1 model_version:string=2 id:string=3"
    " parameters:{InferParameter}=4 inputs:ModelInferRequest.InferInputTensor*=5"
    " outputs:ModelInferRequest.InferRequestedOutputTensor*=6 raw_input_contents:bytes*=7",
    "ModelInferRequest.InferInputTensor": f"{_TENSOR} parameters:{{InferParameter}}=4"
    " contents:InferTensorContents=5",
    "ModelInferRequest.InferRequestedOutputTensor": "name:string=1 parameters:{InferParameter}=2",
    "ModelInferResponse": "model_name:string=1 model_version:string=2 id:string=3"
    " parameters:{InferParameter}=4 outputs:ModelInferResponse.InferOutputTensor*=5"
    " raw_output_contents:bytes*=6",
    "ModelInferResponse.InferOutputTensor": f"{_TENSOR} parameters:{{InferParameter}}=4"
    " contents:InferTensorContents=5",
    "ModelStreamInferResponse": "error_message:string=1 infer_response:ModelInferResponse=2",
    "ModelConfigRequest": _NAMED,
    "ModelConfigResponse": "config:ModelConfig=1",
    "ModelConfig": "name:string=1 platform:string=2 backend:string=17"
    " version_policy:ModelVersionPolicy=3 max_batch_size:int32=4 input:ModelInput*=5"
    " output:ModelOutput*=6 dynamic_batching:ModelDynamicBatching=11",
    "ModelVersionPolicy": "latest:ModelVersionPolicy.Latest=1",
    "ModelVersionPolicy.Latest": "num_versions:uint32=1",
    "ModelInput": "name:string=1 data_type:DataType=2 format:ModelInput.Format=3 dims:int64*=4",
    "ModelOutput": "name:string=1 data_type:DataType=2 dims:int64*=3",
    "ModelDynamicBatching": "preferred_batch_size:int32*=1 max_queue_delay_microseconds:uint64=2",
    "ModelStatisticsRequest": _NAMED,
    "ModelStatisticsResponse": "model_stats:ModelStatistics*=1",
    "ModelStatistics": f"{_NAMED} last_inference:uint64=3 inference_count:uint64=4"
    " execution_count:uint64=5 inference_stats:InferStatistics=6"
    " batch_stats:InferBatchStatistics*=7",
    "InferStatistics": "success:StatisticDuration=1 fail:StatisticDuration=2"
    " queue:StatisticDuration=3 compute_input:StatisticDuration=4"
    " compute_infer:StatisticDuration=5 compute_output:StatisticDuration=6"
    " cache_hit:StatisticDuration=7 cache_miss:StatisticDuration=8",
    "InferBatchStatistics": "batch_size:uint64=1 compute_input:StatisticDuration=2"
    " compute_infer:StatisticDuration=3 compute_output:StatisticDuration=4",
    "StatisticDuration": "count:uint64=1 ns:uint64=2",
    "RepositoryIndexRequest": "repository_name:string=1 ready:bool=2",
    "RepositoryIndexResponse": "models:RepositoryIndexResponse.ModelIndex*=1",
    "RepositoryIndexResponse.ModelIndex": f"{_NAMED} state:string=3 reason:string=4",
    "ModelRepositoryParameter": "bool_param:bool=1 int64_param:int64=2 string_param:string=3"
    " bytes_param:bytes=4",
    "RepositoryModelLoadRequest": "repository_name:string=1 model_name:string=2"
    " parameters:{ModelRepositoryParameter}=3",
    "RepositoryModelLoadResponse": "",
    "RepositoryModelUnloadRequest": "repository_name:string=1 model_name:string=2"
    " parameters:{ModelRepositoryParameter}=3",
    "RepositoryModelUnloadResponse": "",
}
HEALTH = {
    "HealthCheckRequest": "service:string=1",
    "HealthCheckResponse": "status:HealthCheckResponse.ServingStatus=1",
}
ENUMS = {
    "DataType": {"TYPE_INVALID": 0, "TYPE_UINT8": 2, "TYPE_FP32": 11},
    "ModelInput.Format": {"FORMAT_NONE": 0},
    "HealthCheckResponse.ServingStatus": {
        "UNKNOWN": 0,
        "SERVING": 1,
        "NOT_SERVING": 2,
        "SERVICE_UNKNOWN": 3,
    },
}
CHOICES = ("InferParameter", "ModelRepositoryParameter")
"""Messages of which one field is set."""


def _classes(package: str, messages: Mapping[str, str]) -> dict[str, Any]:
    """Return the class of each message."""
    file = descriptor_pb2.FileDescriptorProto(
        name=f"{package}.proto", package=package, syntax="proto3"
    )
    described: dict[str, descriptor_pb2.DescriptorProto] = {}
    for path, fields in messages.items():
        outer, _, name = path.rpartition(".")
        siblings = described[outer].nested_type if outer else file.message_type
        described[path] = siblings.add(name=name)
        for field in _fields(fields, package=package, owner=path):
            described[path].field.append(field)
        if path in CHOICES:
            described[path].oneof_decl.add(name=_CHOICE)
            for field in described[path].field:
                field.oneof_index = 0
        _add_maps(described[path], fields, package=package)
    _add_enums(file, described)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        path: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.{path}"))
        for path in messages
    }


def _fields(
    text: str, *, package: str, owner: str
) -> Iterator[descriptor_pb2.FieldDescriptorProto]:
    for part in text.split():
        name, _, rest = part.partition(":")
        kind, _, number = rest.partition("=")
        if kind.startswith("{"):
            kind = f"{owner}.{_entry(name)}*"
        yield _field(name, kind, int(number), package=package)


def _field(
    name: str, kind: str, number: int, *, package: str
) -> descriptor_pb2.FieldDescriptorProto:
    field = _FIELD(name=name, number=number, label=_FIELD.LABEL_OPTIONAL)
    if kind.endswith("*"):
        field.label = _FIELD.LABEL_REPEATED
    kind = kind.rstrip("*")
    if kind in _SCALARS:
        field.type = _SCALARS[kind]
    else:
        field.type = _FIELD.TYPE_ENUM if kind in ENUMS else _FIELD.TYPE_MESSAGE
        field.type_name = f".{package}.{kind}"
    return field


def _add_maps(owner: descriptor_pb2.DescriptorProto, text: str, *, package: str) -> None:
    """Add the message of an entry for each map."""
    for part in text.split():
        name, _, rest = part.partition(":")
        if rest.startswith("{"):
            entry = owner.nested_type.add(name=_entry(name))
            entry.options.map_entry = True
            kind = rest.partition("=")[0].strip("{}")
            for field in (("key", "string", 1), ("value", kind, 2)):
                entry.field.append(_field(*field, package=package))


def _entry(name: str) -> str:
    return f"{name.capitalize()}Entry"


def _add_enums(
    file: descriptor_pb2.FileDescriptorProto,
    described: Mapping[str, descriptor_pb2.DescriptorProto],
) -> None:
    for path, values in ENUMS.items():
        outer, _, name = path.rpartition(".")
        if outer and outer not in described:
            continue
        holder = described[outer].enum_type if outer else file.enum_type
        enum = holder.add(name=name)
        for value, number in values.items():
            enum.value.add(name=value, number=number)


CLASSES: Mapping[str, Any] = _classes("inference", INFERENCE)
"""By name, as `CLASSES["ModelInferRequest"]`."""
HEALTH_CLASSES: Mapping[str, Any] = _classes("grpc.health.v1", HEALTH)
"""Those of gRPC's health checks."""
