"""Names, options and folders of the providers of ONNX Runtime."""

import pytest

from common.errors import Unprocessable
from models.providers import (
    MAX_REASON,
    engine_folder,
    machine,
    missing_library,
    one_line,
    options_of,
    read_names,
)


def test_providers_are_tried_in_the_order_given_and_all_without_one():
    assert read_names(()) == ("Tensorrt", "CUDA", "CPU")
    assert read_names(("cpu", "cuda")) == ("CPU", "CUDA")


@pytest.mark.parametrize(
    ("given", "why"),
    [(("gpu",), "'gpu' must be of tensorrt, cuda, cpu"), (("cpu", "cpu"), "names one twice")],
)
def test_an_unknown_provider_and_one_named_twice_are_rejected(given, why):
    with pytest.raises(Unprocessable, match=why):
        read_names(given)


def test_a_reason_is_one_line_of_bounded_length_without_codes():
    text = "rejected: [ONNXRuntimeError] : 1 : FAIL : no kernel\n image\n"
    assert one_line(ValueError(text)) == "rejected: no kernel image"
    assert one_line("x" * MAX_REASON) == "x" * MAX_REASON
    assert one_line("x" * (MAX_REASON + 1)) == "x" * (MAX_REASON - 3) + "..."


def test_the_library_that_the_loader_misses_is_found_in_what_it_prints():
    words = "E: Failed to load: libcudnn.so.9: cannot open shared object file: No such file\n"
    assert missing_library(words) == "libcudnn.so.9: cannot open shared object file"
    assert missing_library("Failed to load for another reason") == ""


def test_engines_are_cached_and_cuda_computes_exactly(tmp_path):
    options = options_of("Tensorrt", tmp_path)
    assert options["trt_engine_cache_enable"] == "1"
    assert options["trt_engine_cache_path"] == str(tmp_path)
    assert options_of("Tensorrt", None) == {}
    assert options_of("CUDA", tmp_path) == {"use_tf32": "0"}
    assert options_of("CPU", tmp_path) == {}


def board(root, *, model="Orin", gpu="GA10B", driver="560.1"):
    """A /proc of a board."""
    files = {
        "device-tree/model": f"NVIDIA Jetson {model}\0",
        "driver/nvidia/version": f"NVRM version: {driver}\n",
        "driver/nvidia/gpus/0000:01/information": f"Model: \t {gpu}\nIRQ: 10\n",
    }
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.mark.parametrize("change", [{"model": "Thor"}, {"gpu": "GB10"}, {"driver": "580.2"}])
def test_engines_are_bound_to_the_board_the_gpu_and_the_driver(tmp_path, change):
    first, other = board(tmp_path / "a"), board(tmp_path / "b", **change)
    assert machine(first) != machine(other)
    assert machine(first) == machine(board(tmp_path / "c"))


def test_engines_are_bound_to_the_precision_and_to_the_runtime(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("NVIDIA_TF32_OVERRIDE", raising=False)
    exact = engine_folder("1.31")
    assert exact.parent == tmp_path / "timbre" / "engines"
    assert exact.is_dir()
    assert engine_folder("1.32") != exact
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "0")
    assert engine_folder("1.31") != exact


def test_without_a_folder_that_can_be_written_there_is_no_cache(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert engine_folder("1.31") is None
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert engine_folder("1.31") is None
