"""The methods of the Open Inference Protocol over gRPC, against a real server."""

import grpc
import numpy as np
import pytest

from models.store import Store
from service.auth.key_store import FileKeyStore
from tests.service.grpc_api.conftest import infer_request, new, scores_of
from tests.service.helpers.keys import new_key
from tests.service.helpers.versions import copied, put, served


@pytest.fixture
def rows():
    return np.random.default_rng(0).normal(0, 1, (3, 26)).astype(np.float32)


@pytest.fixture
def named(artefacts):
    """The name of the input of the toy model."""
    return Store(artefacts).load("toy").session.names[0]


async def failure(call):
    """The code, the text and the trailing metadata of a call that fails."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code(), caught.value.details(), dict(caught.value.trailing_metadata())


async def test_health_and_metadata_are_those_of_the_server(client):
    assert (await client.call("ServerLive")).live
    assert (await client.call("ServerReady")).ready
    server = await client.call("ServerMetadata")
    assert server.name == "timbre"
    assert "classification" in server.extensions


async def test_an_unknown_model_is_not_ready_and_raises_nothing(client):
    ready = [
        (
            await client.call("ModelReady", new("ModelReadyRequest", name=name, version=version))
        ).ready
        for name, version in (("toy", ""), ("toy", "1"), ("toy", "9"), ("tuba", ""))
    ]
    assert ready == [True, True, False, False]


async def test_metadata_and_config_name_the_tensors(client, named):
    found = await client.call("ModelMetadata", new("ModelMetadataRequest", name="toy"))
    assert list(found.versions) == ["1", "2"]
    assert (found.inputs[0].name, list(found.inputs[0].shape)) == (named, [-1, 26])
    config = (await client.call("ModelConfig", new("ModelConfigRequest", name="toy"))).config
    assert (config.name, config.max_batch_size > 0, list(config.input[0].dims)) == (
        "toy",
        True,
        [26],
    )
    assert config.input[0].data_type == 11


async def test_the_scores_are_those_of_the_model_raw_and_typed(client, artefacts, rows, named):
    expected = Store(artefacts).load("toy").predict(rows)
    for raw in (True, False):
        request = infer_request(rows, name=named, raw=raw, id="a1")
        response = await client.call("ModelInfer", request)
        assert (response.id, response.model_name, response.model_version) == ("a1", "toy", "2")
        np.testing.assert_allclose(scores_of(response), expected, atol=1e-6)


async def test_compressed_messages_are_read(client, rows, named):
    plain = scores_of(await client.call("ModelInfer", infer_request(rows, name=named)))
    for kind in (grpc.Compression.Gzip, grpc.Compression.Deflate):
        found = await client.call("ModelInfer", infer_request(rows, name=named), compression=kind)
        np.testing.assert_array_equal(scores_of(found), plain)


async def test_classification_gives_the_best_labels(client, rows, named):
    request = infer_request(rows, name=named)
    request.outputs.add(name="scores").parameters["classification"].int64_param = 1
    metadata = await client.call("ModelMetadata", new("ModelMetadataRequest", name="toy"))
    request.outputs[0].name = metadata.outputs[0].name
    response = await client.call("ModelInfer", request)
    assert response.outputs[0].datatype == "BYTES"
    assert list(response.outputs[0].shape) == [3, 1]
    assert b"tone" in response.raw_output_contents[0] or b"noise" in response.raw_output_contents[0]


async def test_statistics_count_and_the_index_lists(client, rows, named):
    await client.call("ModelInfer", infer_request(rows, name=named))
    await failure(client.call("ModelInfer", infer_request(rows, name="other")))
    (found,) = (
        await client.call("ModelStatistics", new("ModelStatisticsRequest", name="toy"))
    ).model_stats
    assert found.inference_count == 3
    assert (found.inference_stats.success.count, found.inference_stats.fail.count) == (1, 1)
    index = await client.call("RepositoryIndex")
    assert {(each.name, each.version) for each in index.models} >= {("toy", "1"), ("toy", "2")}


async def test_a_model_is_loaded_without_files_of_the_client(grpc_serve, artefacts, tmp_path):
    folder = copied(artefacts, tmp_path)
    client = await grpc_serve(artefacts=folder)
    put(folder, 3)
    request = new("RepositoryModelLoadRequest", model_name="toy")
    await client.call("RepositoryModelLoad", request)
    assert served(client.server) == "3"
    request.parameters["config"].string_param = "{}"
    code, detail, _ = await failure(client.call("RepositoryModelLoad", request))
    assert "config" in detail
    assert code is grpc.StatusCode.UNIMPLEMENTED
    await client.call(
        "RepositoryModelUnload", new("RepositoryModelUnloadRequest", model_name="toy")
    )
    assert not (await client.call("ModelReady", new("ModelReadyRequest", name="toy"))).ready


WRONG = [
    ({"model": "tuba"}, "NOT_FOUND", "tuba"),
    ({"model_version": "9"}, "NOT_FOUND", "9"),
    ({"name": "other"}, "INVALID_ARGUMENT", "other"),
    ({"datatype": "INT64"}, "INVALID_ARGUMENT", "INT64"),
    ({"datatype": "FP32\n"}, "INVALID_ARGUMENT", "FP32"),
    ({"shape": [3, 27]}, "INVALID_ARGUMENT", "27"),
    ({"shape": [2**62, 26]}, "RESOURCE_EXHAUSTED", "rows"),
    ({"shape": [2**63 - 1, 26]}, "RESOURCE_EXHAUSTED", "rows"),
    ({"shape": [1, 26, 2**63 - 1]}, "INVALID_ARGUMENT", "shape"),
    ({"shape": [-1, 26]}, "INVALID_ARGUMENT", "-1"),
    ({"shape": [4, 26]}, "INVALID_ARGUMENT", "bytes"),
    ({"shape": [4, 26], "raw": False}, "INVALID_ARGUMENT", "numbers"),
]


async def test_a_wrong_tensor_is_an_error_that_names_it(client, rows, named):
    for change, code, words in WRONG:
        request = infer_request(rows, **{"name": named, **change})
        found = await failure(client.call("ModelInfer", request))
        assert (found[0].name, words in found[1]) == (code, True), change


async def test_a_wrong_output_is_an_error_that_names_it(client, rows, named):
    for names, parameter, words in (
        (["other"], {}, "other"),
        (["scores", "scores"], {}, "2 outputs"),
        (["scores"], {"classification": -1}, "classification"),
    ):
        request = infer_request(rows, name=named)
        for name in names:
            wanted = request.outputs.add(name=name)
            for key, value in parameter.items():
                wanted.parameters[key].int64_param = value
        code, detail, _ = await failure(client.call("ModelInfer", request))
        assert (code.name, words in detail) == ("INVALID_ARGUMENT", True), detail


async def test_nan_wrong_bytes_and_both_kinds_of_contents_are_errors(client, rows, named):
    both = infer_request(rows, name=named)
    both.inputs[0].contents.fp32_contents.append(1)
    twice = infer_request(rows, name=named)
    twice.raw_input_contents.append(b"1")
    shared = infer_request(rows, name=named)
    shared.inputs[0].parameters["shared_memory_region"].string_param = "a"
    requests = [
        infer_request(np.full((1, 26), np.nan), name=named), both, twice, shared, b"\x0a\xff",
        new("ModelInferRequest", model_name="toy"),
    ]  # fmt: skip
    for request in requests:
        code, _, metadata = await failure(client.call("ModelInfer", request))
        assert code.name in ("INVALID_ARGUMENT", "UNIMPLEMENTED")
        assert metadata["x-request-id"]


async def test_parameters_are_read_and_wrong_ones_rejected(client, rows, named):
    request = infer_request(rows, name=named)
    request.parameters["priority"].uint64_param = 1
    request.parameters["sequence_id"].string_param = "any"
    assert len(scores_of(await client.call("ModelInfer", request))) == 3
    request.parameters["timeout"].string_param = "soon"
    code, detail, _ = await failure(client.call("ModelInfer", request))
    assert (code.name, "timeout" in detail) == ("INVALID_ARGUMENT", True)


async def test_keys_are_needed_with_their_scopes(grpc_serve, tmp_path, rows, named):
    keys = tmp_path / "keys.json"
    texts = {}
    for scope in ("classify", "stream"):
        key, texts[scope] = new_key(scope, scopes=(scope,))
        await FileKeyStore(keys).put(key)
    client = await grpc_serve(keys=str(keys))
    assert (await client.call("ServerReady")).ready
    request = infer_request(rows, name=named)

    def bearer(text):
        return {"metadata": (("authorization", f"Bearer {text}"),)}

    assert (await failure(client.call("ModelInfer", request)))[0].name == "UNAUTHENTICATED"
    wrong = await failure(client.call("ServerMetadata", **bearer("timbre_0_x")))
    assert wrong[0].name == "UNAUTHENTICATED"
    assert (await client.call("ServerMetadata", **bearer(texts["stream"]))).name == "timbre"
    refused = await failure(client.call("ModelInfer", request, **bearer(texts["stream"])))
    assert (refused[0].name, "classify" in refused[1]) == ("PERMISSION_DENIED", True)
    await client.call("ModelInfer", request, **bearer(texts["classify"]))
    load = new("RepositoryModelLoadRequest", model_name="toy")
    refused = await failure(client.call("RepositoryModelLoad", load, **bearer(texts["classify"])))
    assert refused[0].name == "PERMISSION_DENIED"


async def test_without_keys_a_proxys_client_loads_nothing(client):
    load = new("RepositoryModelLoadRequest", model_name="toy")
    metadata = (("x-forwarded-for", "192.0.2.1"),)
    code, detail, _ = await failure(client.call("RepositoryModelLoad", load, metadata=metadata))
    assert (code.name, "x-forwarded-for" in detail) == ("PERMISSION_DENIED", True)


async def test_a_message_is_read_up_to_its_bound_also_once_unpacked(grpc_serve, rows, named):
    bound = 4_096
    client = await grpc_serve(grpc_max_message=bound)
    fits = infer_request(rows, name=named)
    fits.id = "a" * (bound - fits.ByteSize() - 3)
    assert fits.ByteSize() == bound
    assert (await client.call("ModelInfer", fits)).id == fits.id
    fits.id += "a"
    for compression in (None, grpc.Compression.Gzip):
        call = client.call("ModelInfer", fits, compression=compression)
        assert (await failure(call))[0].name == "RESOURCE_EXHAUSTED"


async def test_an_unknown_method_is_unimplemented(client):
    code, _, _ = await failure(client.raw("SystemSharedMemoryStatus")(b""))
    assert code is grpc.StatusCode.UNIMPLEMENTED
