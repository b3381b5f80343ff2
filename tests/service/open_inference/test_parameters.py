"""Parameters of a request: what is read, what is ignored, what is rejected."""

import pytest

from common.errors import InputError
from service.open_inference.parameters import InferParameters, read_parameters


def test_without_parameters_the_limits_of_the_server_hold():
    assert read_parameters({}) == InferParameters(timeout_s=None, urgent=False)


def test_the_timeout_is_in_microseconds_and_0_is_none():
    assert read_parameters({"timeout": 1_500_000}).timeout_s == 1.5
    assert read_parameters({"timeout": 0}).timeout_s is None


@pytest.mark.parametrize(("priority", "urgent"), [(0, False), (1, True), (2, False)])
def test_priority_1_is_the_highest(priority, urgent):
    assert read_parameters({"priority": priority}).urgent is urgent


def test_sequences_and_unknown_parameters_are_ignored():
    values = {"sequence_id": "a", "sequence_start": True, "triton_x": 1, "binary_data_output": True}
    assert read_parameters(values) == InferParameters()


@pytest.mark.parametrize("name", ["timeout", "priority"])
@pytest.mark.parametrize("value", [-1, 2**64, 1.5, "1", True, None, [1]])
def test_what_is_no_whole_number_is_rejected_by_name(name, value):
    assert read_parameters({name: 2**64 - 1})
    with pytest.raises(InputError, match=f"{name}=.* must be a whole number"):
        read_parameters({name: value})
