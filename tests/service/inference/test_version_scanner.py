"""Scans of the artefacts folder: candidates, rejected and removed versions."""

import os
import shutil

import pytest

from common.errors import ArtefactError
from models.pin import FILE, Pin
from models.store import Store
from service.inference.version_scanner import FULL_EVERY, Candidate, VersionScanner
from tests.service.helpers.versions import copied, put

SERVED = {"toy": "2", "toy-net": "1"}


@pytest.fixture
def folder(artefacts, tmp_path):
    return copied(artefacts, tmp_path)


@pytest.fixture
def scanner(folder):
    """One that has begun with toy 2 and toy-net 1."""
    scanner = VersionScanner(Store(folder))
    assert {name: scanner.first(name).version for name in scanner.names()} == SERVED
    return scanner


def test_a_new_version_is_a_candidate_once_two_scans_see_the_same_files(scanner, folder):
    assert scanner.scan(SERVED) == scanner.scan(SERVED) == []
    target = put(folder, 3)
    graph = (target / "model.onnx").read_bytes()
    for end in (10, 1_000, len(graph)):
        (target / "model.onnx").write_bytes(graph[:end])
        assert scanner.scan(SERVED) == []
    assert scanner.scan(SERVED) == [Candidate("toy", "3", None)]
    model = scanner.load("toy", "3")
    scanner.switched(model, None)
    assert scanner.scan(SERVED | {"toy": "3"}) == []


def test_the_newest_candidate_of_a_model_comes_first_and_none_is_older_than_the_current(
    scanner, folder
):
    for version in (3, 10, 4):
        put(folder, version, of=folder / "toy" / "2")
    scanner.scan(SERVED)
    assert [each.version for each in scanner.scan(SERVED)] == ["10", "4", "3"]
    assert scanner.scan(SERVED | {"toy": "10"}) == []


def test_a_rejected_version_is_no_candidate_until_its_files_change(scanner, folder, capsys):
    broken = put(folder, 3, broken=True)
    scanner.scan(SERVED)
    for _ in range(3):
        for name, version, _ in scanner.scan(SERVED):
            with pytest.raises(ArtefactError):
                scanner.load(name, version)
    assert list(scanner.rejected("toy")) == ["3"]
    assert capsys.readouterr().err.count("version rejected") == 1
    shutil.copy(folder / "toy" / "2" / "model.onnx", broken / "model.onnx")
    assert scanner.scan(SERVED) == []
    assert [each.version for each in scanner.scan(SERVED)] == ["3"]


def test_a_version_rejected_without_a_signature_is_tried_again_at_the_next_scan(scanner, folder):
    put(folder, 3)
    scanner.scan(SERVED)
    assert len(scanner.scan(SERVED)) == 1
    scanner.reject("toy", "3", "a worker cannot load it", ())
    assert len(scanner.scan(SERVED)) == 1
    assert scanner.rejected("toy") == {"3": "a worker cannot load it"}


def test_a_pin_of_another_process_makes_an_older_version_a_candidate(scanner, folder):
    pin = Pin(version="1", newest="2")
    assert VersionScanner(Store(folder)).save("toy", pin)
    scanner.scan(SERVED)
    assert scanner.scan(SERVED) == [Candidate("toy", "1", pin)]
    scanner.switched(scanner.load("toy", "1"), pin)
    assert scanner.scan(SERVED | {"toy": "1"}) == []


def test_an_unreadable_pin_changes_nothing_and_is_reported(scanner, folder):
    (folder / "toy" / FILE).write_text("nonsense")
    assert scanner.scan(SERVED) == scanner.scan(SERVED) == []
    assert list(scanner.rejected("toy")) == [FILE]
    (folder / "toy" / FILE).unlink()
    scanner.scan(SERVED)
    assert scanner.rejected("toy") == {}


def test_a_removed_version_is_dropped_and_a_removed_folder_is_no_error(scanner, folder):
    broken = put(folder, 3, broken=True)
    scanner.reject("toy", "3", "broken")
    shutil.rmtree(broken)
    scanner.scan(SERVED)
    assert scanner.rejected("toy") == {}
    shutil.rmtree(folder)
    assert scanner.scan(SERVED) == []


def test_only_named_models_are_candidates_and_all_named_must_be_there(folder):
    narrow = VersionScanner(Store(folder), models=("toy",))
    assert (narrow.names(), narrow.allows("toy-net")) == (["toy"], False)
    put(folder, 2, name="toy-net")
    narrow.scan({"toy": "2"})
    assert narrow.scan({"toy": "2"}) == []
    with pytest.raises(ArtefactError, match=r"no artefact of tuba in .*; there is toy, toy-net"):
        VersionScanner(Store(folder), models=("tuba", "toy")).names()
    with pytest.raises(ArtefactError, match="any model"):
        VersionScanner(Store(folder / "toy" / "1")).names()


def aged(folder):
    """Let the folders be as if nothing had changed for a while."""
    for path in (folder, *folder.iterdir()):
        os.utime(path, (1_000_000_000, 1_000_000_000))


@pytest.fixture
def listed(scanner, folder, monkeypatch):
    """How often everything was read: a folder that is quiet is read no more."""
    listing, counted = scanner._store.listing, []

    def counting():
        counted.append(1)
        return listing()

    monkeypatch.setattr(scanner._store, "listing", counting)
    aged(folder)
    scanner.scan(SERVED)
    return counted


def test_a_quiet_folder_is_read_once_in_so_many_scans(scanner, listed):
    for _ in range(3 * FULL_EVERY):
        assert scanner.scan(SERVED) == []
    assert len(listed) == 1 + 3


@pytest.mark.parametrize("change", ["version", "model", "pin"])
def test_what_comes_into_a_quiet_folder_is_found_at_the_next_scan(change, scanner, listed, folder):
    scanner.scan(SERVED)
    if change == "version":
        put(folder, 3)
    elif change == "model":
        shutil.copytree(folder / "toy", folder / "newcomer")
    else:
        VersionScanner(Store(folder)).save("toy", Pin(version="1", newest="2"))
    scanner.scan(SERVED)
    assert scanner.scan(SERVED) != []
    assert len(listed) == 3


def test_a_pin_that_is_written_in_place_is_found_soon(scanner, listed, folder):
    VersionScanner(Store(folder)).save("toy", Pin(version="1", newest="2"))
    scanner.switched(scanner.load("toy", "1"), Pin(version="1", newest="2"))
    aged(folder)
    served = SERVED | {"toy": "1"}
    scanner.scan(served)
    (folder / "toy" / FILE).write_text('{"version": "2", "newest": "2"}')
    aged(folder)
    found = [scanner.scan(served) for _ in range(FULL_EVERY + 1)]
    assert any(found)


def test_a_folder_that_changed_just_now_is_read_again(scanner, listed, folder):
    """It may change once more within one tick of its clock."""
    os.utime(folder)
    for _ in range(3):
        scanner.scan(SERVED)
    assert len(listed) == 4
