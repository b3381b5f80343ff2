"""No picture of any kind, whole or damaged, is shown wrongly, and each error has a reason."""

import dataclasses

import pytest

from tests.features.pictures import save
from tests.zoo.pictures import EITHER, READ, REJECTED, File, base, short
from tests.zoo.run_pictures import gateway, served, table, trained


@pytest.mark.slow  # decodes every kind; make zoo has more of each
async def test_every_picture_is_the_oracles_or_rejected_with_a_reason(tmp_path):
    files = short()
    async with gateway(tmp_path) as post:
        counts, bad = await table(files, post)
    assert bad == []
    assert len(files) > 100
    for kind in ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "AVIF"):
        assert min(counts[kind]["equal"], counts[kind]["rejected"]) >= 1


@pytest.mark.parametrize(
    ("change", "outcome"),
    [
        ({}, "equal"),
        ({"expected": REJECTED}, "UNEXPECTED"),
        ({"data": b"GIF89a"}, "UNEXPECTED"),
        ({"data": b"GIF89a", "expected": EITHER}, "rejected"),
        ({"same": save(base().rotate(180), "PNG")}, "DIFFERENT"),
        ({"same": b"none"}, "UNEXPECTED"),
    ],
)
def test_the_count_sees_what_is_wrong(change, outcome):
    file = File("PNG", "", save(base(), "PNG"), READ)
    assert trained(dataclasses.replace(file, **change))[0] == outcome


def test_an_error_without_a_reason_and_a_fault_of_the_server_are_seen():
    file = File("PNG", "", b"")
    assert served(file, ValueError(), 400, {"detail": "truncated"}) == "rejected"
    assert served(file, ValueError(), 400, {}) == "UNEXPECTED"
    assert served(file, ValueError(), 200, {}) == "UNEXPECTED"
    assert served(file, None, 500, {"detail": "x"}) == "FAULT"
    assert served(file, None, 200, {}) == "equal"
