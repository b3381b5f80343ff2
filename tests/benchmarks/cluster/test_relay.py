"""A cable delays every frame as long, and loses its share of them."""

import random

import pytest

from benchmarks.cluster.relay import MAX_PENDING, Cable


def test_frames_arrive_in_order_after_the_delay_and_not_before():
    cable = Cable(delay_s=0.5)
    cable.send(1, b"a", 10.0)
    cable.send(2, b"b", 10.1)
    assert cable.wait_s(10.0) == 0.5
    assert cable.due(10.49) == []
    assert cable.due(10.5) == [(1, b"a")]
    assert cable.due(11.0) == [(2, b"b")]
    assert cable.wait_s(11.0) is None


@pytest.mark.parametrize(
    ("loss", "least", "most"), [(0.0, 0, 0), (0.1, 50, 150), (1.0, 1000, 1000)]
)
def test_a_share_of_the_frames_is_lost(loss, least, most):
    cable = Cable(loss=loss, random=random.Random(7))
    for _ in range(1000):
        cable.send(1, b"a", 0.0)
    assert least <= cable.lost <= most
    assert len(cable.due(0.0)) == 1000 - cable.lost


@pytest.mark.parametrize(("sent", "lost"), [(MAX_PENDING, 0), (MAX_PENDING + 1, 1)])
def test_what_does_not_fit_on_the_cable_is_lost(sent, lost):
    cable = Cable(delay_s=1.0)
    for _ in range(sent):
        cable.send(1, b"a", 0.0)
    assert cable.lost == lost
