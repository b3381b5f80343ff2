"""A manifest is read to the letter, or refused."""

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import ArtefactError
from features.config import DEFAULT, Metadata, PictureConfig
from models.manifest import InputSpec, Label, Manifest

MANIFEST = Manifest(
    name="instruments-net",
    version="12",
    task="multi-label",
    input=InputSpec(
        kind="log_mel",
        dtype="float32",
        shape=(128, 87),
        configuration={"sample_rate": 22_050},
        fingerprint=DEFAULT.fingerprint("log_mel"),
    ),
    labels=(Label(name="piano", threshold=0.5), Label(name="flûte", threshold=0.25)),
    files=dict.fromkeys(("model.onnx", "golden.npz", "report.md"), "0" * 64),
    metrics={"micro_f1": 0.9, "table": [[1, None], ["a", True]]},
    provenance=[{"source": "a library", "licence": "CC0-1.0", "use": "training"}],
    libraries={"numpy": "2.0"},
    created="2026-01-02T03:04:05+00:00",
)


def changed(path, value):
    """The manifest's JSON with one thing changed; `...` takes it away."""
    data = json.loads(MANIFEST.to_json())
    *outer, last = path
    place = data
    for key in outer:
        place = place[key]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return json.dumps(data)


def test_writing_and_reading_gives_the_same_manifest():
    assert Manifest.from_json(MANIFEST.to_json()) == MANIFEST
    assert Manifest.from_json(MANIFEST.to_json().encode()) == MANIFEST


@pytest.mark.parametrize(
    "path", [("colour",), ("input", "colour"), ("labels", 1, "colour"), ("provenance", 0, "colour")]
)
def test_an_unknown_field_is_rejected_by_name(path):
    with pytest.raises(ArtefactError, match="unknown field colour"):
        Manifest.from_json(changed(path, "blue"))


@pytest.mark.parametrize(
    "name", sorted(json.loads(MANIFEST.to_json()).keys() - {"origin", "tolerance"})
)
def test_a_missing_field_is_rejected_by_name(name):
    with pytest.raises(ArtefactError, match=f"missing field {name}"):
        Manifest.from_json(changed((name,), ...))


def linked(links):
    """The text of a manifest whose first label has these links."""
    return changed(("labels", 0, "links"), links)


def test_links_to_look_a_label_up_are_optional_and_left_out_where_there_are_none():
    assert "links" not in MANIFEST.to_json()
    links = {f"site {n}": f"https://example.org/{n}" for n in range(5)}
    manifest = Manifest.from_json(linked(links))
    assert manifest.labels[0].links == links
    assert Manifest.from_json(manifest.to_json()) == manifest


@pytest.mark.parametrize(
    "links",
    [
        {f"site {n}": "https://example.org" for n in range(6)},
        {"": "https://example.org"},
        {"a" * 41: "https://example.org"},
        {"a\nb": "https://example.org"},
        {"site": "javascript:alert(1)"},
        {"site": "//example.org"},
        {"site": "https://example.org/a b"},
        {"site": "https://" + 2_001 * "x"},
    ],
)
def test_links_that_are_none_are_rejected(links):
    with pytest.raises(ArtefactError, match="links of a label must be at most 5"):
        Manifest.from_json(linked(links))


def test_a_manifest_from_before_origins_were_kept_is_read():
    assert Manifest.from_json(changed(("origin",), ...)).origin == {}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("name",), 5),
        (("version",), 1),
        (("task",), "regression"),
        (("task",), ["multi-label"]),
        (("input",), []),
        (("input", "kind"), "pixels"),
        (("input", "dtype"), "float64"),
        (("input", "shape"), [128, 87.0]),
        (("input", "shape"), 26),
        (("input", "shape", 0), True),
        (("input", "configuration", "window"), "44100"),
        (("input", "fingerprint"), None),
        (("labels",), {"piano": 0.5}),
        (("labels", 0), "piano"),
        (("labels", 0, "threshold"), "0.5"),
        (("labels", 0, "threshold"), True),
        (("files", "model.onnx"), 3),
        (("metrics",), []),
        (("provenance",), {}),
        (("provenance", 0, "licence"), None),
        (("libraries", "numpy"), 2.0),
    ],
)
def test_a_wrong_type_is_rejected_with_its_place(path, value):
    with pytest.raises(ArtefactError, match=rf"manifest\.{path[0]}.* must be"):
        Manifest.from_json(changed(path, value))


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        (("name",), "../secrets", "lower-case words"),
        (("name",), "Piano", "lower-case words"),
        (("name",), "piano\n", "lower-case words"),
        (("version",), "0", "positive integer"),
        (("version",), "01", "positive integer"),
        (("version",), "1.2", "positive integer"),
        (("version",), "٣", "positive integer"),
        (("labels",), [], "labels must be named"),
        (("labels", 0, "name"), "", "labels must be named"),
        (("labels", 0, "name"), "flûte", "each once"),
        (("labels", 0, "threshold"), 1.5, "between 0 and 1"),
        (("labels", 0, "threshold"), -0.1, "between 0 and 1"),
        (("files", "extra.py"), "0", "files must be"),
        (("files", "report.md"), ..., "files must be"),
        (("created",), "yesterday", "ISO 8601"),
        (("created",), "2026-01-02T03:04:05", "UTC"),
        (("created",), "2026-01-02T03:04:05+02:00", "UTC"),
    ],
)
def test_a_value_without_meaning_is_rejected(path, value, reason):
    with pytest.raises(ArtefactError, match=reason):
        Manifest.from_json(changed(path, value))


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", "3", '{"name": NaN}', b"\xff\xfe", "[" * 100_000]
)
def test_what_is_not_a_json_object_is_rejected(text):
    with pytest.raises(ArtefactError):
        Manifest.from_json(text)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1, 2}])
def test_a_metric_that_json_cannot_say_is_not_written(value):
    manifest = Manifest(**{**vars(MANIFEST), "metrics": {"f1": value}})
    with pytest.raises(ArtefactError, match="cannot be written as JSON"):
        manifest.to_json()


def test_whole_thresholds_are_read_as_floats():
    label = Manifest.from_json(changed(("labels", 0, "threshold"), 1)).labels[0]
    assert isinstance(label.threshold, float)


def test_the_configuration_becomes_an_audio_config():
    assert MANIFEST.input.config() == DEFAULT
    with pytest.raises(ArtefactError, match="colour"):
        Manifest.from_json(changed(("input", "configuration", "colour"), 3)).input.config()


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)


@given(name=st.sampled_from(sorted(json.loads(MANIFEST.to_json()))), value=json_values)
def test_any_value_in_any_field_is_read_or_rejected_and_never_crashes(name, value):
    try:
        manifest = Manifest.from_json(changed((name,), value))
    except ArtefactError:
        return
    assert Manifest.from_json(manifest.to_json()) == manifest


PICTURES = PictureConfig(
    height=8,
    width=9,
    fit="pad",
    resample="lanczos",
    metadata=(
        Metadata(name="region", values=("land", "sea")),
        Metadata(name="day", values=("1",), required=False),
    ),
)
SEEN = dataclasses.replace(
    MANIFEST,
    input=InputSpec(
        kind="picture",
        dtype="uint8",
        shape=PICTURES.shape,
        configuration=json.loads(json.dumps(dataclasses.asdict(PICTURES))),
        fingerprint=PICTURES.fingerprint(),
    ),
)


def test_a_manifest_of_pictures_says_the_same_when_it_is_read():
    assert Manifest.from_json(SEEN.to_json()) == SEEN
    assert Manifest.from_json(SEEN.to_json()).input.config() == PICTURES


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("height",), "8"),
        (("height",), 0),
        (("fit",), "stretch"),
        (("resample",), "nearest"),
        (("colour",), 3),
        (("metadata",), {}),
        (("metadata", 0, "name"), 3),
        (("metadata", 0, "name"), "top_k"),
        (("metadata", 0, "values"), "land"),
        (("metadata", 0, "values"), []),
        (("metadata", 0, "values", 0), "sea"),
        (("metadata", 0, "required"), 1),
        (("metadata", 0, "required"), "true"),
        (("metadata", 1, "name"), "region"),
    ],
)
def test_pictures_that_cannot_be_are_rejected(path, value):
    data = json.loads(SEEN.to_json())
    *outer, last = path
    place = data["input"]["configuration"]
    for key in outer:
        place = place[key]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    with pytest.raises(ArtefactError, match=r"manifest\.input\.configuration"):
        Manifest.from_json(json.dumps(data))
