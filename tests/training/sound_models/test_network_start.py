"""A network to go on from: it begins with the same scores, and learns from there."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from training.common.errors import MaterialError
from training.common.recipe import load
from training.sound_models import network, network_start

SHAPE = (32, 24)


@pytest.fixture(scope="module")
def settings():
    changes = ("profile=quick", "network.members=2", "network.batch=16", "network.epochs=3")
    return replace(load("instruments", changes).network, rate=0.02)


@pytest.fixture(scope="module")
def material():
    rng = np.random.default_rng(0)
    labels = rng.random((128, 3)) < 0.4
    x = rng.normal(-60, 3, (128, *SHAPE)).astype(np.float16)
    for label in range(3):
        x[:, 10 * label : 10 * label + 6] += 40 * labels[:, label, None, None]
    return x, labels


@pytest.fixture(scope="module")
def fitted(material, settings):
    return network.fit(*material, np.arange(128), settings, seed=1)


@pytest.fixture(scope="module")
def graph(fitted):
    return network.export(fitted.members, bands=SHAPE[0], frames=SHAPE[1])


def test_each_network_of_the_graph_gives_its_scores_again(graph, fitted, material, settings):
    x = torch.from_numpy(material[0].astype(np.float32))
    for number, member in enumerate(fitted.members):
        again = network_start.read(graph, number, settings, x, labels=3)
        with torch.inference_mode():
            torch.testing.assert_close(again.scores(x), member.scores(x), atol=1e-4, rtol=0)


def test_batch_norm_is_set_by_what_goes_through_it(graph, material, settings):
    x = torch.from_numpy(material[0].astype(np.float32))
    again = network_start.read(graph, 0, settings, x, labels=3)
    with torch.inference_mode():
        seen = again.convolutions[0](
            ((x - x.amax((1, 2), keepdim=True)).clamp(min=-70) * (2 / 70) + 1).unsqueeze(1)
        )
    mean = again.norms[0].running_mean
    torch.testing.assert_close(mean, seen.mean((0, 2, 3)), atol=1e-4, rtol=1e-4)


def test_a_training_that_goes_on_begins_where_the_last_one_ended(graph, fitted, material, settings):
    still = replace(settings, rate=1e-9, epochs=1)
    rows = np.arange(128)
    on = network.fit(*material, rows, still, seed=3, start=graph)
    fresh = network.fit(*material, rows, still, seed=3)
    assert on.history[0]["loss"] < 0.9 * fresh.history[0]["loss"]


def test_more_members_than_the_graph_has_begin_from_its_networks_in_turn(
    graph, fitted, material, settings
):
    x = torch.from_numpy(material[0].astype(np.float32))
    third = network_start.read(graph, 2, settings, x, labels=3)
    with torch.inference_mode():
        torch.testing.assert_close(third.scores(x), fitted.members[0].scores(x), atol=1e-4, rtol=0)


@pytest.mark.parametrize("change", [{"channels": (8, 9)}, {"channels": (8,), "strides": ((4, 4),)}])
def test_other_layers_are_told_with_both_shapes(graph, material, settings, change):
    x = torch.from_numpy(material[0].astype(np.float32))
    with pytest.raises(MaterialError, match=r"has weights of .*, \[network\] and the labels "):
        network_start.read(graph, 0, replace(settings, **change), x, labels=3)


def test_other_labels_are_told(graph, material, settings):
    x = torch.from_numpy(material[0].astype(np.float32))
    with pytest.raises(MaterialError, match="to start from has weights"):
        network_start.read(graph, 0, settings, x, labels=4)


def test_a_graph_that_is_no_network_of_ours_is_told(settings):
    from onnx import helper

    from models.export.onnx_graph import FLOAT, Graph

    graph = Graph()
    graph.add("Sigmoid", "features")
    takes = helper.make_tensor_value_info("features", FLOAT, ["n", 3])
    content = graph.serialise(takes, labels=3)
    with pytest.raises(MaterialError, match="none of the layers"):
        network_start.read(content, 0, settings, torch.zeros(2, *SHAPE), labels=3)
