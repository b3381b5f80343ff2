"""The kernels compute the expected features, which tests/features/test_extract.py holds too."""

import numpy as np
import pytest

from features.extract import extract
from features.kernels.loader import shipped
from service.doctor import kernels


def test_this_machine_computes_them():
    features, compiled = kernels.check_kernels()
    assert features.state == "good"
    assert compiled.state == "good"
    assert compiled.found == f"shipped: {shipped()}" or not shipped()


def test_kernels_that_were_compiled_here_are_told_from_shipped_ones(tmp_path):
    found = kernels.check_compiled(tmp_path / "kernels-1.o", first_s=0)
    assert found.state == "good"
    assert found.found == f"compiled: {tmp_path}/kernels-1.o"


@pytest.mark.parametrize(
    ("change", "state"), [(0.0, "good"), (9e-5, "good"), (2e-4, "bad"), (np.nan, "bad")]
)
def test_features_that_are_off_by_more_than_the_bound_are_bad(change, state):
    found = extract(kernels.probe())
    found[0] += change
    assert kernels.check_parity(found, ms=1.0).state == state


def test_kernels_that_are_kept_nowhere_need_attention():
    assert kernels.check_compiled(None, first_s=10).state == "attention"


@pytest.mark.parametrize(
    ("flags", "widest"),
    [("fpu avx avx2 avx512f", "avx512f"), ("fpu avx avx2", "avx2"), ("fp asimd", "asimd")],
)
def test_the_widest_instructions_are_named(tmp_path, flags, widest):
    (tmp_path / "cpuinfo").write_text(f"flags : {flags}\n")
    assert kernels.instructions(tmp_path / "cpuinfo").endswith(f" {widest}")
    assert kernels.instructions(tmp_path / "none")
