import json
import pickle

import numpy as np
import pytest
import torch

from tests.training.pictures.helpers.torchvision import normalised, seeded, vgg19
from training.common.errors import MaterialError
from training.pictures.learn import torch_weights
from training.pictures.learn.backbones import build
from training.pictures.learn.torch_weights import read_state

NAME = "vgg19-torchvision"


def backbone(path, name=NAME):
    return build(name, height=32, width=32, weights=str(path), seed=0)


@pytest.fixture(scope="module")
def module():
    return seeded(vgg19)


def safetensors(state, kinds=None):
    """The bytes of a .safetensors file. kinds: of tensors that are not F32."""
    table, numbers = {"__metadata__": {"format": "pt"}}, b""
    for name, value in state.items():
        kind = (kinds or {}).get(name, "F32")
        raw = (
            value.view(torch.int16).numpy().tobytes() if kind == "BF16" else value.numpy().tobytes()
        )
        table[name] = {
            "dtype": kind,
            "shape": list(value.shape),
            "data_offsets": [len(numbers), len(numbers) + len(raw)],
        }
        numbers += raw
    head = json.dumps(table).encode()
    return len(head).to_bytes(8, "little") + head + numbers


@pytest.mark.parametrize(
    "kind",
    [
        "pth",
        "safetensors",
        # The whole network again; each differs by a line in how a file is read.
        *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("pt", "wrapped", "parallel")),
    ],
)
def test_vgg19_of_torchvision_gives_its_numbers_from_every_kind_of_file(kind, module, tmp_path):
    state = module.state_dict()
    path = tmp_path / f"a.{kind if kind in ('pth', 'pt', 'safetensors') else 'pth'}"
    if kind == "safetensors":
        path.write_bytes(safetensors(state))
    else:
        state = (
            {f"module.{key}": value for key, value in state.items()}
            if kind == "parallel"
            else state
        )
        torch.save({"state_dict": state, "epoch": 3} if kind == "wrapped" else state, path)
    images = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), np.uint8)
    with torch.no_grad():
        expected = module(normalised(images)).numpy()
        found = backbone(path)(images.astype(np.float32)).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max())


def test_numbers_of_every_precision_are_read(tmp_path):
    values = torch.tensor([1.5, -2.0, 0.25])
    state = {"a": values, "b": values.half(), "c": values.bfloat16(), "d": values.double()}
    kinds = {"b": "F16", "c": "BF16", "d": "F64"}
    (tmp_path / "a.safetensors").write_bytes(safetensors(state, kinds))
    found = read_state(tmp_path / "a.safetensors")
    assert all(found[key].tolist() == [1.5, -2.0, 0.25] for key in state)
    assert {array.dtype for array in found.values()} == {np.dtype(np.float32)}


def change(state, key, value):
    changed = dict(state)
    if value is None:
        del changed[key]
    else:
        changed[key] = value
    return changed


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("features.2.weight", None, r"no features\.2\.weight"),
        ("features.1.weight", torch.zeros(3), r"it has features\.1\.weight too"),
        (
            "features.2.weight",
            torch.zeros(64, 64, 1, 1),
            r"features\.2\.weight has the shape \(64, 64, 1, 1\), not \(64, 64, 3, 3\)",
        ),
        (
            "features.2.bias",
            torch.zeros(65),
            r"features\.2\.bias has the shape \(65,\), not \(64,\)",
        ),
    ],
)
def test_weights_of_another_network_are_refused_by_name_and_shape(
    key, value, told, module, tmp_path
):
    torch.save(change(module.state_dict(), key, value), tmp_path / "a.pth")
    with pytest.raises(MaterialError, match=f"does not hold weights of {NAME}.*{told}"):
        backbone(tmp_path / "a.pth")


class Evil:
    def __reduce__(self):
        return (open, ("never", "w"))


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.pth", b"nothing of the kind", "not a PyTorch file"),
        ("a.pt", pickle.dumps(Evil()), "not a PyTorch file of weights alone"),
        ("a.safetensors", b"", "or is cut"),
        ("a.safetensors", (10**12).to_bytes(8, "little") + b"{}", "or is cut"),
        ("a.safetensors", (2).to_bytes(8, "little") + b"[]", "not a .safetensors file"),
        ("a.safetensors", (2).to_bytes(8, "little") + b"{x", "not a .safetensors file"),
    ],
)
def test_damaged_files_and_those_that_run_code_are_refused(
    name, content, told, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(MaterialError, match=told):
        read_state(tmp_path / name)
    assert not (tmp_path / "never").exists()


def test_a_tensor_beyond_the_end_of_its_file_is_refused(tmp_path):
    whole = safetensors({"a": torch.zeros(4)})
    (tmp_path / "a.safetensors").write_bytes(whole)
    assert read_state(tmp_path / "a.safetensors")["a"].shape == (4,)
    (tmp_path / "a.safetensors").write_bytes(whole[:-1])
    with pytest.raises(MaterialError, match="an offset is beyond the file"):
        read_state(tmp_path / "a.safetensors")


def test_a_file_without_a_table_of_weights_is_refused(tmp_path):
    torch.save({"epoch": 3}, tmp_path / "a.pth")
    with pytest.raises(MaterialError, match="no table of weights by name"):
        read_state(tmp_path / "a.pth")


@pytest.mark.parametrize(
    ("name", "instead"), [("vgg19", "vgg19-torchvision takes them"), ("xception", "others do")]
)
@pytest.mark.slow  # builds backbones whole
def test_networks_of_keras_say_which_take_weights_of_pytorch(name, instead, module, tmp_path):
    torch.save(module.state_dict(), tmp_path / "a.pth")
    with pytest.raises(MaterialError, match=instead):
        build(name, height=75, width=75, weights=str(tmp_path / "a.pth"), seed=0)


def test_the_table_names_every_weight_once(module):
    body = backbone("none").layers[-1]
    names = [key for key, _, _ in torch_weights._table(body)]
    assert sorted(names) == sorted(k for k in module.state_dict() if k.startswith("features"))
