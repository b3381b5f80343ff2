"""Messages are taken apart within bounds, whatever their bytes."""

import gzip
import zlib
from contextlib import nullcontext, suppress
from operator import attrgetter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import InputError, TooLarge
from service.grpc_api.messages import (
    MOST_FIELDS,
    SMALL,
    message_of,
    most_bytes,
    parameters_of,
    parse,
    tensor_of,
)
from service.grpc_api.schema import CLASSES
from service.open_inference.tensors import TensorSpec

LIMIT = 2**20
SPEC = TensorSpec("pixels", "UINT8", (2, 2))


def uint_request(values, *, shape=(1, 2, 2)):
    request = CLASSES["ModelInferRequest"]()
    sent = request.inputs.add(name="pixels", datatype="UINT8", shape=shape)
    sent.contents.uint_contents.extend(values)
    return request


def test_bytes_of_eight_bits_come_as_numbers_of_32_and_larger_ones_are_rejected():
    found = tensor_of(uint_request([0, 1, 255, 3]), SPEC, max_rows=1)
    assert (found.dtype, found.tolist()) == (np.uint8, [[[0, 1], [255, 3]]])
    with pytest.raises(InputError, match="256"):
        tensor_of(uint_request([0, 1, 256, 3]), SPEC, max_rows=1)


def test_numbers_in_the_wrong_place_are_rejected():
    request = uint_request([1, 2, 3, 4])
    request.inputs[0].contents.fp32_contents.append(1.0)
    with pytest.raises(InputError, match="other contents"):
        tensor_of(request, SPEC, max_rows=1)


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress])
def test_a_compressed_message_is_unpacked_up_to_the_bound(pack):
    message = CLASSES["ModelInferRequest"](raw_input_contents=[bytes(LIMIT)])
    data = message.SerializeToString()
    assert parse("ModelInferRequest", pack(data), limit=len(data)) == message
    with pytest.raises(TooLarge, match=str(len(data) - 1)):
        parse("ModelInferRequest", pack(data), limit=len(data) - 1)
    with pytest.raises(InputError, match="truncated"):
        parse("ModelInferRequest", pack(data)[:-9], limit=len(data))
    with pytest.raises(InputError):
        parse("ModelInferRequest", pack(data)[:2] + b"\xff" * 40, limit=len(data))


def test_the_memory_of_a_compressed_message_is_that_of_what_it_may_become():
    assert most_bytes(b"\x0a" * 100, limit=LIMIT) == 100
    assert most_bytes(gzip.compress(b"a"), limit=LIMIT) > 10_000
    assert most_bytes(gzip.compress(bytes(LIMIT)), limit=LIMIT) < LIMIT + 10_000


@pytest.mark.parametrize("field", [b"\x2a\x00", b"\x32\x00", b"\x22\x00", b"\x3a\x00"])
def test_a_large_message_of_countless_fields_is_rejected_before_it_is_parsed(field):
    with pytest.raises(InputError, match="fields"):
        parse("ModelInferRequest", field * SMALL, limit=LIMIT)
    inner = field * SMALL
    size = bytes([len(inner) & 0x7F | 0x80, len(inner) >> 7 & 0x7F | 0x80, len(inner) >> 14])
    with pytest.raises(InputError):
        parse("ModelInferRequest", b"\x2a" + size + b"\x22\x00" * (len(inner) // 2), limit=LIMIT)


def test_a_group_hides_no_fields():
    group = b"\xa3\x06\xa4\x06"
    assert len(parse("ModelInferRequest", group + b"\x2a\x00" * 9, limit=LIMIT).inputs) == 9
    for start in (group, b"\xa3\x06", b"\x2a\x04" + group):
        with pytest.raises(InputError, match="fields"):
            parse("ModelInferRequest", start + b"\x2a\x00" * SMALL, limit=LIMIT)


PACKED = ["shape", "contents.int_contents", "contents.int64_contents", "contents.uint64_contents"]


@pytest.mark.parametrize("name", PACKED)
def test_packed_numbers_count_as_fields(name):
    for count, accepted in ((MOST_FIELDS // 2, True), (MOST_FIELDS + 1, False)):
        request = CLASSES["ModelInferRequest"](raw_input_contents=[bytes(SMALL)])
        attrgetter(name)(request.inputs.add()).extend([1] * count)
        with nullcontext() if accepted else pytest.raises(InputError, match="fields"):
            parse("ModelInferRequest", request.SerializeToString(), limit=LIMIT)


@pytest.mark.parametrize("name", ["fp32_contents", "uint_contents"])
def test_the_numbers_of_a_tensor_do_not_count_as_fields(name):
    request = CLASSES["ModelInferRequest"]()
    getattr(request.inputs.add().contents, name).extend([1] * 2 * SMALL)
    assert parse("ModelInferRequest", request.SerializeToString(), limit=LIMIT) == request


def test_as_many_fields_as_allowed_are_parsed():
    field = b"\x3a\x08" + bytes(8)
    assert MOST_FIELDS * len(field) > SMALL
    found = parse("ModelInferRequest", field * MOST_FIELDS, limit=LIMIT)
    assert len(found.raw_input_contents) == MOST_FIELDS
    with pytest.raises(InputError, match=str(MOST_FIELDS)):
        parse("ModelInferRequest", field * (MOST_FIELDS + 1), limit=LIMIT)


@given(st.binary(max_size=200), st.sampled_from([0, SMALL]))
def test_any_bytes_are_a_message_or_an_input_error(data, more):
    with suppress(InputError):
        parse("ModelInferRequest", data + bytes(more), limit=LIMIT)


def test_parameters_are_plain_values():
    request = CLASSES["ModelInferRequest"]()
    request.parameters["a"].int64_param = 1
    request.parameters["b"].string_param = "c"
    request.parameters["d"].SetInParent()
    assert parameters_of(request.parameters) == {"a": 1, "b": "c", "d": None}


def test_a_document_becomes_a_message_without_what_that_has_not():
    document = {"name": "a", "version": "1", "extensions": ["b"], "more": 1}
    found = message_of("ServerMetadataResponse", document)
    assert (found.name, found.version, list(found.extensions)) == ("a", "1", ["b"])
