"""Jobs and replies as bytes: round trips, and rejection of anything else."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from common.errors import Busy, InputError, TimbreError, Unprocessable
from service.queue.base import Job, Reply
from service.queue.codec import decode_job, decode_replies, encode_job, encode_reply

NAMES = st.text(st.characters(blacklist_characters="\n", blacklist_categories=["Cs"]), max_size=20)
TENSORS = arrays.arrays(
    st.sampled_from([np.float32, np.uint8]), arrays.array_shapes(min_dims=0, max_dims=4)
)


def job(tensor=None, **fields):
    tensor = np.arange(6, dtype=np.float32).reshape(2, 3) if tensor is None else tensor
    defaults = {
        "id": "a-1",
        "model": "toy",
        "version": "2",
        "deadline": 10.5,
        "live": True,
        "stream": "a-0",
    }
    return Job(tensor=tensor, **(defaults | fields))


@given(tensor=TENSORS, names=st.tuples(NAMES, NAMES, NAMES, NAMES, NAMES), live=st.booleans())
def test_a_job_comes_back_as_it_was(tensor, names, live):
    name, model, version, stream, gateway = names
    data = encode_job(
        job(tensor, id=name, model=model, version=version, stream=stream, live=live),
        reply_to=gateway,
        now=8.0,
    )
    found, reply_to = decode_job(data, since=100.0)
    assert (found.id, found.model, found.version, found.stream, reply_to, found.live) == (
        *names,
        live,
    )
    assert (found.tensor.dtype, found.tensor.shape) == (tensor.dtype, tensor.shape)
    np.testing.assert_array_equal(found.tensor, tensor)
    assert found.deadline == 102.5


@pytest.mark.parametrize(
    ("now", "left"), [(10.0, 0.5), (10.5, 0.0), (99.0, 0.0), (-1e9, (2**32 - 1) / 1e3)]
)
def test_a_deadline_is_encoded_as_time_left_and_never_below_zero(now, left):
    decoded, _ = decode_job(encode_job(job(), reply_to="g", now=now), since=0.0)
    assert decoded.deadline == pytest.approx(left)


def test_invalid_tensors_are_not_encoded():
    for tensor in (np.zeros(3), np.zeros((1, 1, 1, 1, 1), np.float32), np.array(["a"], object)):
        with pytest.raises(InputError, match="cannot be encoded"):
            encode_job(job(tensor), reply_to="g", now=0)


def test_every_shortened_or_lengthened_job_is_rejected():
    data = encode_job(job(), reply_to="g", now=0)
    for junk in [*(data[:size] for size in range(len(data))), data + b"x"]:
        with pytest.raises(InputError, match="not a job"):
            decode_job(junk, since=0)


@pytest.mark.parametrize("at", range(6))
def test_another_magic_format_or_kind_is_rejected(at):
    data = bytearray(encode_job(job(), reply_to="g", now=0))
    data[at] = 255
    with pytest.raises(InputError):
        decode_job(bytes(data), since=0)


@given(st.binary(max_size=200))
def test_invalid_bytes_are_rejected(data):
    for decode in (
        lambda junk: decode_job(b"TJ\x01" + junk, since=0),
        lambda junk: decode_replies(b"TA\x01" + junk),
    ):
        try:
            decode(data)
        except InputError:
            continue


def test_results_and_errors_come_back_joined_and_in_order():
    scores = np.array([0.25, 1], np.float32)
    replies = [
        Reply("a", scores, 1.5),
        Reply("b", Unprocessable("NaN: ü"), 0.0),
        Reply("c", Busy("full"), 0.0),
    ]
    one, two, three = decode_replies(b"".join(map(encode_reply, replies)))
    assert (one.job_id, one.result.tolist(), one.model_ms) == ("a", [0.25, 1.0], 1.5)
    assert (two.job_id, type(two.result), str(two.result)) == ("b", Unprocessable, "NaN: ü")
    assert (three.job_id, type(three.result), str(three.result)) == ("c", Busy, "full")


def test_an_error_of_an_unknown_kind_is_still_an_error():
    data = encode_reply(Reply("a", Busy("x"), 0.0)).replace(b"Busy", b"Bush")
    assert type(decode_replies(data)[0].result) is TimbreError


def test_every_shortened_reply_is_rejected():
    data = encode_reply(Reply("a", np.ones(2, np.float32), 1.0))
    for junk in [
        *(data[:size] for size in range(1, len(data))),
        data + b"T",
        data.replace(b"TA", b"TJ"),
    ]:
        with pytest.raises(InputError, match="not replies"):
            decode_replies(junk)
    assert decode_replies(b"") == []
