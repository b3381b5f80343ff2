"""All that serving installs has wheels for aarch64, and no more is asked for than is needed."""

import pytest

from tools import arm_wheels


def test_what_is_asked_for_is_what_linux_needs():
    needed = arm_wheels.requirements()
    assert {"numpy>=2.0", "sounddevice>=0.5", "grpcio>=1.62"} <= set(needed)
    assert not any(each.startswith(("numba", "llvmlite", "scipy", "torch")) for each in needed)


@pytest.mark.parametrize(
    ("name", "platform"),
    [
        ("soxr-0.5.0.post1-cp311-cp311-manylinux_2_17_aarch64.whl", "manylinux_2_17_aarch64"),
        ("rich-15.0.0-py3-none-any.whl", "any"),
    ],
)
def test_the_platform_is_the_end_of_the_name_of_a_wheel(name, platform):
    assert arm_wheels.tag(f"https://example.org/packages/{name}") == platform


@pytest.mark.slow  # asks the registry
@pytest.mark.parametrize("python", arm_wheels.PYTHONS)
def test_every_package_has_a_wheel_for_arm_of_64_bits(python):
    found = arm_wheels.wheels(python)
    assert {"onnxruntime", "numpy", "soxr", "uvloop"} <= {each.split()[0] for each in found}
    assert all(platform == "any" or "aarch64" in platform for platform in found.values())


@pytest.mark.slow  # asks the registry
def test_arm_of_32_bits_has_no_wheel_of_numpy():
    with pytest.raises(SystemExit, match=r"(?s)3\.13.*numpy"):
        arm_wheels.wheels("3.13", ("manylinux_2_31_armv7l", "linux_armv7l", "manylinux2014_armv7l"))
