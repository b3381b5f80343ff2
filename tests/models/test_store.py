"""What lies on disk is found by name, checked, and rejected with the reason."""

import io
import json
import shutil
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from common.errors import ArtefactError, NotFound, Unprocessable
from features.config import DEFAULT
from models.artefact import write
from models.pin import FILE, Pin
from models.providers import Providers
from models.session import Session
from models.store import DEFAULT_PATH, Store, read


def save_golden(folder, **arrays):
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    (folder / "golden.npz").write_bytes(buffer.getvalue())


def test_a_loaded_model_says_what_it_is_and_predicts(artefacts, windows):
    model = Store(artefacts).load("trio")
    assert (model.name, model.version, model.kind, model.config) == (
        "trio",
        "1",
        "features",
        DEFAULT,
    )
    assert model.labels == ["piano", "violin", "flute"]
    assert model.thresholds.dtype == np.float32
    np.testing.assert_array_equal(model.thresholds, [0.5, 0.5, 0.5])
    rows, present = windows
    scores = model.predict(rows)
    assert scores.shape == (400, 3)
    assert ((scores > 0.5) == present).mean() > 0.9


def test_a_tensor_of_another_shape_is_rejected(artefacts):
    with pytest.raises(Unprocessable):
        Store(artefacts).load("trio").predict(np.zeros((1, 25), np.float32))


def test_every_batch_size_gives_the_scores_of_single_rows(artefacts, windows):
    model = Store(artefacts).load("trio")
    singly = np.concatenate([model.predict(windows[0][at : at + 1]) for at in range(40)])
    for size in range(1, 41):
        np.testing.assert_allclose(model.predict(windows[0][:size]), singly[:size], atol=1e-6)


def test_versions_are_sorted_as_numbers_and_the_latest_is_the_default(artefacts, fields):
    for version in ("10", "9"):
        write(artefacts, **fields, version=version)
    store = Store(artefacts)
    assert store.versions("trio") == ["1", "9", "10"]
    assert store.load("trio").version == "10"
    assert store.load("trio", "9").version == "9"


def test_a_new_version_is_seen_without_a_restart(artefacts, fields):
    store = Store(artefacts)
    assert store.load("trio").version == "1"
    write(artefacts, **fields)
    assert store.load("trio").version == "2"


def test_names_are_folders_with_a_version(artefacts):
    (artefacts / "empty").mkdir()
    (artefacts / "README.md").write_text("not a model")
    (artefacts / "trio" / ".draft-x").mkdir()
    (artefacts / "trio" / "old").mkdir()
    shutil.copytree(artefacts / "trio", artefacts / "Not a Name")
    store = Store(artefacts)
    assert store.names() == ["trio"]
    assert store.versions("trio") == ["1"]


def test_an_unknown_model_is_not_found_and_the_others_are_named(artefacts):
    with pytest.raises(NotFound, match="no model 'quartet'; there is trio"):
        Store(artefacts).load("quartet")
    with pytest.raises(NotFound, match="no version '3' of 'trio'; there is 1"):
        Store(artefacts).load("trio", "3")


def test_a_folder_that_does_not_exist_holds_nothing(tmp_path):
    store = Store(tmp_path / "nowhere")
    assert store.names() == []
    with pytest.raises(NotFound, match="there is none"):
        store.load("trio")


@pytest.mark.parametrize(
    "name", ["../artefacts/trio", "trio/../trio", "/etc", "", ".", "..", "trio\0", "TRIO", "trio/"]
)
def test_a_name_that_is_a_path_is_not_found(artefacts, name):
    with pytest.raises(NotFound, match="there is trio"):
        Store(artefacts).load(name)


@pytest.mark.parametrize("version", ["../1", "01", "1/", "", "-1", "1\n", "latest"])
def test_a_version_that_is_no_number_is_not_found(artefacts, version):
    with pytest.raises(NotFound, match="there is 1"):
        Store(artefacts).load("trio", version)


@pytest.mark.parametrize("file", ["model.onnx", "golden.npz", "report.md"])
def test_one_changed_byte_is_rejected(artefacts, trio, file):
    content = bytearray((trio / file).read_bytes())
    content[len(content) // 2] ^= 1
    (trio / file).write_bytes(content)
    with pytest.raises(ArtefactError, match=f"^trio 1: {file} .* sha256 differs"):
        Store(artefacts).load("trio")


@pytest.mark.parametrize("file", ["model.onnx", "golden.npz", "report.md", "manifest.json"])
def test_a_missing_file_is_rejected_by_name(artefacts, trio, file):
    (trio / file).unlink()
    with pytest.raises(ArtefactError, match=f"{file} cannot be read: No such file"):
        Store(artefacts).load("trio")


def test_another_fingerprint_is_rejected(artefacts, trio, rewrite):
    manifest = json.loads((trio / "manifest.json").read_text())
    rewrite(trio, input=manifest["input"] | {"fingerprint": "0" * 64})
    with pytest.raises(ArtefactError, match="fingerprint is not the running code's"):
        Store(artefacts).load("trio")


def test_another_configuration_is_rejected(artefacts, trio, rewrite):
    spec = json.loads((trio / "manifest.json").read_text())["input"]
    rewrite(trio, input=spec | {"configuration": spec["configuration"] | {"hop_length": 256}})
    with pytest.raises(ArtefactError, match="fingerprint"):
        Store(artefacts).load("trio")


def test_golden_scores_that_differ_are_rejected_and_rounding_is_not(artefacts, trio, rewrite):
    with np.load(trio / "golden.npz") as golden:
        inputs, scores = golden["inputs"], golden["scores"]
    save_golden(trio, inputs=inputs, scores=scores + np.float32(5e-5))
    rewrite(trio)
    assert Store(artefacts).load("trio").version == "1"
    save_golden(trio, inputs=inputs, scores=scores + np.float32(2e-4))
    rewrite(trio)
    with pytest.raises(ArtefactError, match="golden inputs give other scores"):
        Store(artefacts).load("trio")


@pytest.mark.parametrize(
    "arrays",
    [
        {"inputs": np.zeros((1, 26), np.float32)},
        {"inputs": np.zeros((1, 25), np.float32), "scores": np.zeros((1, 3))},
        {"inputs": np.zeros((1, 26), np.float32), "scores": np.zeros((2, 3))},
        {"inputs": np.zeros((0, 26), np.float32), "scores": np.zeros((0, 3))},
    ],
    ids=["no scores", "other shape", "other length", "empty"],
)
def test_a_golden_file_that_cannot_be_replayed_is_rejected(artefacts, trio, rewrite, arrays):
    save_golden(trio, **arrays)
    rewrite(trio)
    with pytest.raises(ArtefactError, match="golden inputs"):
        Store(artefacts).load("trio")


def test_a_pickle_among_the_golden_inputs_is_never_opened(artefacts, trio, rewrite, tmp_path):
    class Trap:
        def __reduce__(self):
            return Path.mkdir, (tmp_path / "sprung",)

    save_golden(trio, inputs=np.array([Trap()]), scores=np.zeros((1, 3)))
    rewrite(trio)
    with pytest.raises(ArtefactError, match="golden inputs"):
        Store(artefacts).load("trio")
    assert not (tmp_path / "sprung").exists()


def test_labels_that_the_graph_does_not_have_are_rejected(artefacts, trio, rewrite):
    rewrite(trio, labels=[{"name": "piano", "threshold": 0.5}])
    with pytest.raises(ArtefactError, match="in the manifest and"):
        Store(artefacts).load("trio")


def test_an_artefact_in_another_one_s_place_is_rejected(artefacts, trio):
    shutil.copytree(trio, artefacts / "duo" / "1")
    with pytest.raises(ArtefactError, match="duo 1: the manifest is that of trio 1"):
        Store(artefacts).load("duo")


def test_a_broken_latest_version_is_rejected_and_older_ones_still_load(artefacts, fields):
    (write(artefacts, **fields) / "model.onnx").write_bytes(b"")
    store = Store(artefacts)
    with pytest.raises(ArtefactError, match=r"trio 2: model.onnx"):
        store.load("trio")
    assert store.load("trio", "1").version == "1"


def test_a_model_is_loaded_once_even_by_many_threads(artefacts):
    store, together = Store(artefacts), threading.Barrier(8)

    def load(_):
        together.wait()
        return store.load("trio")

    with ThreadPoolExecutor(8) as threads:
        assert len({id(model) for model in threads.map(load, range(8))}) == 1


def test_threads_may_share_a_model(artefacts, windows):
    model = Store(artefacts).load("trio")
    expected = model.predict(windows[0])
    with ThreadPoolExecutor(4) as threads:
        for scores in threads.map(model.predict, [windows[0]] * 50):
            np.testing.assert_array_equal(scores, expected)


def test_the_shipped_artefacts_load_and_stay_small():
    store = Store()
    if not store.names():
        pytest.skip("no artefacts are shipped yet")
    for name in store.names():
        for version in store.versions(name):
            store.load(name, version)
            size = sum(file.stat().st_size for file in (DEFAULT_PATH / name / version).iterdir())
            assert size <= 20e6, f"{name} {version} has {size} bytes"


def test_a_model_lives_as_long_as_it_is_used(artefacts):
    store = Store(artefacts)
    model = store.load("trio", "1")
    assert store.load("trio") is model
    gone, graph = weakref.ref(model), weakref.ref(model.session)
    del model
    assert (gone(), graph()) == (None, None)
    assert store.load("trio").version == "1"


def test_two_names_for_one_graph_share_it_and_are_two_models(tmp_path):
    for name in ("instruments", "instruments-net"):
        shutil.copytree(DEFAULT_PATH / "instruments", tmp_path / name)
        for path in tmp_path.glob(f"{name}/*/manifest.json"):
            path.write_text(json.dumps(json.loads(path.read_text()) | {"name": name}))
    store = Store(tmp_path)
    one, other = store.load("instruments"), store.load("instruments-net")
    assert one is not other
    assert one.session is other.session
    assert Store(tmp_path).load("instruments").session is not one.session


def test_what_is_loaded_is_there_when_its_folder_is_not(artefacts, trio):
    store = Store(artefacts)
    model = store.load("trio")
    shutil.rmtree(trio)
    assert store.load("trio", "1") is model
    with pytest.raises(NotFound):
        store.load("trio")


def test_the_first_is_the_newest_that_is_whole_and_the_others_reasons_are_told(artefacts, fields):
    for _ in range(3):
        write(artefacts, **fields)
    for version in ("3", "4"):
        (artefacts / "trio" / version / "model.onnx").write_bytes(b"")
    model, refused = Store(artefacts).first("trio")
    assert model.version == "2"
    assert list(refused) == ["4", "3"]
    assert "model.onnx" in refused["4"]


def test_the_first_is_the_one_chosen_and_nonsense_chooses_nothing(artefacts, fields):
    for _ in range(2):
        write(artefacts, **fields)
    store = Store(artefacts)
    store.set_pin("trio", Pin(version="2", newest="3"))
    assert store.first("trio")[0].version == "2"
    write(artefacts, **fields)
    assert store.first("trio")[0].version == "4"
    (artefacts / "trio" / FILE).write_text("nonsense")
    assert store.first("trio")[0].version == "4"


def test_where_every_version_is_rejected_the_newest_says_why(artefacts, trio, fields):
    (write(artefacts, **fields) / "model.onnx").unlink()
    (trio / "report.md").unlink()
    with pytest.raises(ArtefactError, match=r"trio 2: model\.onnx cannot be read"):
        Store(artefacts).first("trio")


def test_a_signature_changes_with_the_files_and_is_empty_where_there_are_none(artefacts, trio):
    store = Store(artefacts)
    before = store.signature("trio", "1")
    assert store.signature("trio", "1") == before
    (trio / "report.md").write_text("# Other\n")
    assert store.signature("trio", "1") != before
    assert store.signature("trio", "2") == ()


def test_models_are_unlike_when_a_client_would_notice(artefacts, fields, trio, rewrite):
    write(artefacts, **fields)
    other = shutil.copytree(trio, artefacts / "trio" / "3")
    names = [{"name": name, "threshold": 0.9} for name in ("piano", "violin", "oboe")]
    rewrite(other, version="3", labels=names, task="multi-class")
    store = Store(artefacts)
    one, two, three = (store.load("trio", version) for version in "123")
    assert two.unlike(one) == ""
    assert three.unlike(one) == "labels and task"


def test_a_report_is_read_by_name_and_version_and_what_is_missing_is_named(artefacts, trio):
    store = Store(artefacts)
    assert store.report("trio", "1") == (trio / "report.md").read_text()
    with pytest.raises(NotFound, match="no version '2'"):
        store.report("trio", "2")
    (trio / "report.md").unlink()
    with pytest.raises(NotFound, match=r"report\.md cannot be read"):
        store.report("trio", "1")


@pytest.mark.parametrize(("most", "sizes"), [(1, [1]), (8, [8, 4, 2, 1]), (9, [8, 4, 2, 1])])
def test_a_model_is_warmed_up_for_no_more_rows_than_a_call_may_have(trio, monkeypatch, most, sizes):
    ran, predict = [], Session.predict
    monkeypatch.setattr(
        Session, "predict", lambda session, rows: ran.append(len(rows)) or predict(session, rows)
    )
    read(trio, providers=Providers(max_batch=most))
    assert ran[-len(sizes) :] == sizes
    assert ran[: -len(sizes)] == [20]  # the golden inputs


@pytest.mark.parametrize("version", ["a\0b", "\0", "\ud800", "x" * 5_000])
def test_a_version_that_no_folder_can_be_called_has_no_signature(tmp_path, version):
    assert Store(tmp_path).signature("toy", version) == ()
