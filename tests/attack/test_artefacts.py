"""Spoilt artefacts put in place under a live server: what it serves stays served."""

import json
import shutil
from collections import Counter

import aiohttp

from tests.attack.conftest import ATTACKS, attacked, still_works
from tests.fuzz.mutation import mutated
from tests.service.helpers.versions import put

FILES = ("manifest.json", "model.onnx", "golden.npz", "report.md")
VALUES = (None, "", "x", -1, 0, 1e308, [], {}, "../../x", "\x00", 2**64, ["x"] * 1_000, True)


def spoilt_version(chance, folder, version):
    """Put a version in place with one file spoilt, or a field of its manifest changed."""
    target = put(folder, version, of=folder / "toy" / "2")
    path = target / chance.choice(FILES[:3])
    if path.name == "manifest.json" and chance.random() < 0.7:
        manifest = json.loads(path.read_text())
        place = chance.choice(
            [manifest, manifest["input"], manifest["files"], manifest["labels"][0]]
        )
        place[chance.choice([*place, "other"])] = chance.choice(VALUES)
        path.write_text(json.dumps(manifest))
    elif chance.random() < 0.1:
        path.unlink()
    else:
        path.write_bytes(
            mutated(chance, path.read_bytes(), [path.read_bytes()], chance.randint(1, 4))
        )


async def test_spoilt_artefacts(folder, chance, told, tmp_path):
    path = shutil.copytree(folder, tmp_path / "artefacts")
    counts = Counter()
    with attacked("--artefacts", path) as (address, _):
        async with aiohttp.ClientSession() as http:

            async def load(version):
                url = f"{address}/v1/models/toy/load"
                async with http.post(url, json={"version": str(version)}) as response:
                    counts[response.status] += 1
                    return response.status

            for version in range(3, 3 + max(6, ATTACKS // 50)):
                spoilt_version(chance, path, version)
                assert await load(version) in (200, 404, 409)
                await still_works(http, address)
            put(path, 1_000_000, of=path / "toy" / "2")

            async def newest():
                async with http.get(f"{address}/v1/models/toy") as response:
                    return (await response.json())["version"]

            assert await load(1_000_000) == 200
            assert await newest() == "1000000"
            await still_works(http, address)
    told("artefacts by status of load", counts)
    assert counts[409] > counts[200]
