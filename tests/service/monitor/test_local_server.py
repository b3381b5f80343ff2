"""A server in this process."""

import pytest

from common.errors import TimbreError
from service.client import Client
from service.monitor.local_server import local_server
from tests.service.conftest import tone, wav


async def test_it_serves_while_the_block_runs(artefacts):
    async with local_server(str(artefacts)) as url:
        answer = await Client(url).classify(wav(tone(2)), "toy")
        assert answer["labels"] == ["tone"]
    with pytest.raises(TimbreError, match="cannot reach"):
        await Client(url).describe("toy")


async def test_without_a_model_it_says_why(tmp_path):
    with pytest.raises(TimbreError, match="no artefact"):
        async with local_server(str(tmp_path)):
            pass
