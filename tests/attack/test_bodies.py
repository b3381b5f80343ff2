"""Spoilt files, forms and queries: each gets a result or a problem document, none a fault."""

from collections import Counter

import aiohttp

from tests.attack.conftest import ATTACKS, attacked, check_response, still_works
from tests.attack.files import pictures, sounds
from tests.fuzz.mutation import mutated

TYPES = ("", "audio/wav", "image/png", "text/plain", "application/json", "multipart/form-data",
         "multipart/form-data; boundary=x", "a/b; charset=\xff",
         "application/x-www-form-urlencoded")  # fmt: skip
QUERIES = ("?top_k=1", "?top_k=-1", "?top_k=1e9", "?hop=nan", "?hop=1e999", "?hop=0.5",
           "?version=1", "?version=%00", "?version=..%2F1", "?x", "?%ff=%ff",
         "?top_k=1&top_k=1")  # fmt: skip


async def test_spoilt_bodies(folder, chance, told):
    sound, picture = sounds(), pictures()
    seeds = {"toy": sound, "toy-net": sound, "colours": picture, "places": picture}
    files = [*sound, *picture]
    counts = Counter()
    with attacked("--artefacts", folder) as (address, _):
        async with aiohttp.ClientSession() as http:
            for at in range(ATTACKS):
                model = chance.choice(("toy", "toy-net", "colours", "places"))
                file = chance.choice(seeds[model] if chance.random() < 0.9 else files)
                body = mutated(chance, file, files, chance.randint(1, 4))
                query = chance.choice(QUERIES) if chance.random() < 0.2 else ""
                url = f"{address}/v1/models/{model}/classify{query}"
                kind = chance.choice(TYPES) if chance.random() < 0.2 else ""
                headers = {"Content-Type": kind} if kind else {}
                if kind == "multipart/form-data; boundary=x" and at % 2:
                    head = b'--x\r\nContent-Disposition: form-data; name="file"\r\n\r\n'
                    spoilt = mutated(chance, head, files, chance.randint(1, 4))
                    body = spoilt + body + b"\r\n--x--\r\n"
                async with http.post(url, data=body, headers=headers) as response:
                    counts[await check_response(response)] += 1
                if at % 100 == 0:
                    await still_works(http, address)
            await still_works(http, address)
    told("bodies by status", counts)
    assert {200, 400, 415, 422} <= set(counts)
