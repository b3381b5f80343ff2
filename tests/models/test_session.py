"""One graph, one input, one output, and nothing that does not fit gets in."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from common.errors import ArtefactError, Unprocessable
from models.providers import Providers
from models.session import Session

FLOAT, UINT8 = TensorProto.FLOAT, TensorProto.UINT8
ROOT = Path(__file__).parents[2]


def make(*, takes=(FLOAT, ["n", 3]), gives=(FLOAT, ["n", 3]), outputs=1):
    """A graph that copies, or casts to float32."""
    names = [f"scores{at}" for at in range(outputs)]
    nodes = [helper.make_node("Cast", ["x"], [name], to=gives[0]) for name in names]
    graph = helper.make_graph(
        nodes,
        "copy",
        [helper.make_tensor_value_info("x", *takes)],
        [helper.make_tensor_value_info(name, *gives) for name in names],
    )
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8
    ).SerializeToString()


def test_scores_come_back_for_each_row():
    batch = np.arange(6, dtype=np.float32).reshape(2, 3)
    scores = Session(make()).predict(batch)
    assert scores.dtype == np.float32
    np.testing.assert_array_equal(scores, batch)


@pytest.mark.parametrize(
    ("width", "rows", "runs"),
    [(4096, 8, [8]), (4096, 9, [8, 1]), (4096, 20, [8, 8, 4]), (4095, 20, [20])],
)
def test_large_tensors_are_run_few_at_a_time_so_that_their_memory_is_small(width, rows, runs):
    session, ran = Session(make(takes=(FLOAT, ["n", width]), gives=(FLOAT, ["n", width]))), []
    real = session._session

    class Noted:
        def run(self, outputs, inputs, options):
            ran.append(len(inputs["x"]))
            return real.run(outputs, inputs, options)

    batch = np.random.default_rng(0).random((rows, width), np.float32)
    session._session = Noted()
    np.testing.assert_array_equal(session.predict(batch), batch)
    assert ran == (runs if session.provider == "CPU" else [rows])


@pytest.mark.parametrize("low", [True, False])
def test_in_low_memory_the_runtime_keeps_none_between_two_runs(low):
    session = Session(make(), providers=Providers(low_memory=low))
    assert session._session.get_session_options().enable_cpu_mem_arena is not low
    np.testing.assert_array_equal(session.predict(np.ones((2, 3), np.float32)), np.ones((2, 3)))


def test_pictures_travel_as_uint8():
    session = Session(make(takes=(UINT8, ["n", 3])))
    np.testing.assert_array_equal(session.predict(np.uint8([[0, 128, 255]])), [[0, 128, 255]])


def test_rows_need_not_lie_side_by_side_in_memory():
    batch = np.arange(24, dtype=np.float32).reshape(4, 6)[::2, ::2]
    np.testing.assert_array_equal(Session(make()).predict(batch), batch)


@pytest.mark.parametrize(
    "batch",
    [
        np.zeros((2, 3)),
        np.zeros((2, 3), np.uint8),
        np.zeros((2, 4), np.float32),
        np.zeros(3, np.float32),
        np.zeros((1, 1, 3), np.float32),
        np.zeros((0, 3), np.float32),
        np.float32(1),
    ],
    ids=lambda batch: f"{batch.dtype}{batch.shape}",
)
def test_a_batch_of_another_shape_or_type_is_rejected(batch):
    with pytest.raises(Unprocessable, match=r"the model takes float32 \(n, 3\), not"):
        Session(make()).predict(batch)


@pytest.mark.parametrize(
    "graph", [b"", b"not a graph", make()[:-20]], ids=["empty", "text", "truncated"]
)
def test_bytes_that_are_no_graph_are_rejected(graph):
    with pytest.raises(ArtefactError):
        Session(graph)


@pytest.mark.parametrize(
    "graph",
    [
        make(outputs=2),
        make(takes=(TensorProto.DOUBLE, ["n", 3])),
        make(gives=(TensorProto.INT64, ["n", 3])),
        make(takes=(FLOAT, ["n", 3, 1]), gives=(FLOAT, ["n", 3, 1])),
    ],
    ids=["two outputs", "double", "whole numbers", "three dimensions"],
)
def test_a_graph_of_another_signature_is_rejected(graph):
    with pytest.raises(
        ArtefactError, match="must have one float32 or uint8 input and one float32 output"
    ):
        Session(graph)


def test_the_graph_s_signature_can_be_read():
    session = Session(make())
    assert (session.dtype, session.shape, session.labels) == (np.float32, (3,), 3)


def test_it_says_what_it_runs_on():
    assert Session(make()).provider in {"Tensorrt", "CUDA", "CPU"}
    assert Session(make(), accelerate=False).provider == "CPU"


def test_a_gpu_computes_as_exactly_as_the_processor():
    session = Session(make())
    if session.provider != "CUDA":
        pytest.skip(f"runs on {session.provider}, not on CUDA")
    assert session._session.get_provider_options()["CUDAExecutionProvider"]["use_tf32"] == "0"


def test_nobody_is_told_what_runs_here(tmp_path):
    quiet = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("ORT_", "XDG_", "CI"))
    }
    run = [sys.executable, "-c", "from models.store import Store; Store().load('clip-art')"]
    subprocess.run(run, check=True, cwd=ROOT, env=quiet | {"HOME": str(tmp_path)})
    assert not list(tmp_path.rglob("*onnxruntime*"))


def test_no_other_file_knows_onnx_runtime():
    folders = ("features", "models", "service", "training")
    knowing = [
        path
        for folder in folders
        for path in ROOT.glob(f"{folder}/**/*.py")
        if "import onnxruntime" in path.read_text() or "from onnxruntime" in path.read_text()
    ]
    # Quantising works on graphs, with tools of ONNX Runtime that no session needs.
    assert sorted(knowing) == [
        ROOT / "models" / "export" / "quantize.py",
        ROOT / "models" / "session.py",
    ]


def test_make_really_makes_valid_graphs():
    onnx.checker.check_model(onnx.load_from_string(make()))
