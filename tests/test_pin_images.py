"""A release names its base images by digest; between releases tags are named."""

import shutil

import pytest

from tools import pin_images

DIGEST = "sha256:" + 64 * "a"


@pytest.fixture
def folder(tmp_path):
    return shutil.copytree(pin_images.FOLDER, tmp_path / "container")


def test_every_image_of_a_registry_is_found(folder):
    text = "".join(path.read_text() for path in pin_images.files(folder))
    names = {line.partition(": ")[2] for line in pin_images.unpinned(folder)}
    assert {name.partition("/")[0] for name in names} == {"docker.io", "nvcr.io"}
    assert len(names) == len({word for word in text.split() if ".io/" in word}) >= 6


def test_one_without_a_digest_is_named_and_pinned_ones_are_not(folder, monkeypatch, capsys):
    monkeypatch.setattr(pin_images, "FOLDER", folder)
    pin_images.pin(folder, lambda name: DIGEST)
    assert pin_images.main(["--check"]) == 0
    file = folder / "Containerfile"
    text = file.read_text()
    assert f"ARG BASE=docker.io/library/debian:bookworm-slim@{DIGEST}\n" in text
    file.write_text(text.replace(DIGEST, DIGEST[:-1]))
    assert pin_images.main(["--check"]) == 1
    named = "without a digest: Containerfile: docker.io/library/debian:bookworm-slim\n"
    assert capsys.readouterr().out == named


def test_pinning_again_takes_the_newer_digest(folder):
    for letter in "ab":
        pin_images.pin(folder, lambda name, letter=letter: "sha256:" + 64 * letter)
    text = (folder / "compose.yml").read_text()
    assert 64 * "b" in text
    assert 64 * "a" not in text


def test_what_is_no_digest_is_not_written(folder):
    before = (folder / "Containerfile").read_text()
    with pytest.raises(SystemExit, match="is no digest"):
        pin_images.pin(folder, lambda name: "latest")
    assert (folder / "Containerfile").read_text() == before
