"""The page with odd models and odd sound: 500 labels or one, 384 kHz, an hour of it."""

import wave

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from features.extract import extract_many
from models.artefact import write
from models.manifest import Label
from tests.helpers.browser import opened
from tests.service.conftest import COMMON, noise
from tests.service.helpers.page import APP, FAKE, MICROPHONE, READY, page
from tests.service.page.test_views import choose

pytestmark = pytest.mark.slow  # a browser with many streams, or much sound


def network(labels):
    """A graph from a spectrogram to as many scores, each of another band."""
    weights = np.zeros((128, labels), np.float32)
    weights[np.arange(labels) % 128, np.arange(labels)] = 1e-2
    nodes = [
        helper.make_node("ReduceMean", ["image"], ["mean"], axes=[2], keepdims=0),
        helper.make_node("MatMul", ["mean", "weights"], ["sums"]),
        helper.make_node("Sigmoid", ["sums"], ["scores"]),
    ]
    inputs = [helper.make_tensor_value_info("image", onnx.TensorProto.FLOAT, ["n", 128, 87])]
    outputs = [helper.make_tensor_value_info("scores", onnx.TensorProto.FLOAT, ["n", labels])]
    graph = helper.make_graph(
        nodes, "net", inputs, outputs, [numpy_helper.from_array(weights, "weights")]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return model.SerializeToString()


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    """A model `many` of 500 labels and a model `one` of one; some names are markup, or long."""
    folder = tmp_path_factory.mktemp("odd")
    names = ["<img src=x onerror=alert(1)>", 100 * "long ", *(f"label {n}" for n in range(498))]
    inputs = extract_many([noise(2, seed=seed) for seed in range(3)], kind="log_mel")
    for name, count in (("many", 500), ("one", 1)):
        write(
            folder,
            name=name,
            kind="log_mel",
            labels=[Label(name=each, threshold=0.4) for each in names[:count]],
            onnx=network(count),
            golden_inputs=inputs,
            **COMMON,
        )
    return folder


async def listen(tab):
    await tab.run(APP)
    await tab.until(READY)
    await tab.run(MICROPHONE)
    await tab.until("app.listening?.stream?.counts.windows > 1")


@pytest.mark.parametrize(("model", "labels"), [("many", 500), ("one", 1)])
async def test_five_hundred_labels_and_one_have_their_lanes(serve, odd, model, labels):
    server = await serve(artefacts=odd, models=(model,))
    async with page(server.url + "/", *FAKE) as tab:
        await listen(tab)
        assert await tab.run("document.querySelectorAll('.names li').length") == labels
        # The lanes scroll in a box of their own; the page is no wider than its window.
        assert await tab.run("document.documentElement.scrollWidth <= innerWidth")
        assert await tab.run("document.querySelector('.lanes').clientHeight < innerHeight")
        await tab.run("document.querySelector('nav a[href$=models]').click()")
        await tab.until("document.querySelectorAll('.chips li').length")
        assert await tab.run("document.querySelectorAll('.chips li').length") == labels
        assert await tab.run("document.querySelectorAll('.model details .chips').length") == (
            labels > 60
        )
        assert await tab.run("document.documentElement.scrollWidth <= innerWidth")


async def test_a_microphone_of_384_khz_is_heard_at_the_highest_rate_that_a_server_takes(serve):
    server = await serve()
    async with page(server.url + "/", *FAKE) as tab:
        await tab.run("""
          const { getSettings } = MediaStreamTrack.prototype;
          MediaStreamTrack.prototype.getSettings = function () {
            return { ...getSettings.call(this), sampleRate: 384_000 };
          };
        """)
        await listen(tab)
        assert await tab.run("app.listening.source.sampleRate") == 192_000


async def test_a_file_of_an_hour_is_heard_from_its_beginning_and_no_example_to_learn_from(
    serve, tmp_path
):
    path = tmp_path / "hour.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 1, 8_000, 0, "NONE", ""))
        file.writeframes(bytes(range(256)) * (3_600 * 8_000 // 256))
    server = await serve(trainings=str(tmp_path / "teach"), max_body=2**20)
    async with page(server.url + "/", *FAKE) as tab:
        await tab.run(APP)
        await tab.until(READY)
        await choose(tab, ".welcome input", path)
        await tab.until("app.listening?.stream?.counts.windows > 1")
        assert await tab.run("app.listening.source.element.duration") == pytest.approx(3_600)
        assert await tab.run("app.listening.captured") < 600
    async with opened(server.url + "/app/teach", *FAKE) as tab:
        await tab.until("document.querySelector('.class') !== null")
        await choose(tab, '[aria-label="Files of nothing"]', path)
        said = "document.querySelector('[aria-label=Teach] h2 + .readout').innerText"
        await tab.until(f"{said}.includes('0 files stored, 1 not: ')")
