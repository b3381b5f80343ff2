"""The page /docs in Chromium: what it sends, and what it shows of the answers."""

from tests.service.helpers.page import page

SEND = "document.querySelector('#{} form button').click()"
SAID = "document.querySelector('#{} .answer').innerText"
FILE = """(() => {
  const file = new File([new Uint8Array(10)], "a.wav"), carrier = new DataTransfer();
  carrier.items.add(file);
  document.querySelector("#classify input[type=file]").files = carrier.files;
  document.querySelector("#classify-name").value = "toy";
})()"""


async def test_requests_are_tried_out_and_a_link_opens_its_route(serve):
    server = await serve()
    async with page(server.url + "/docs#describeModel") as tab:
        await tab.until("document.querySelector('#describeModel').open")
        await tab.run("document.querySelector('#describeModel-name').value = 'toy-net'")
        await tab.run(SEND.format("describeModel"))
        await tab.until(f'({SAID.format("describeModel")}).includes(\'"name": "toy-net"\')')
        assert (await tab.run(SAID.format("describeModel"))).startswith("200 OK in ")
        await tab.run("document.querySelector('#classify').open = true")
        await tab.run(FILE)
        await tab.run(SEND.format("classify"))
        await tab.until(f"({SAID.format('classify')}).includes('unsupported-media-type')")
        line = await tab.run("document.querySelector('#classify .copied code').textContent")
        assert line.startswith("curl --data-binary @recording.wav ")
        assert server.url in line
        own_width = await tab.run("document.documentElement.scrollWidth <= innerWidth")
        assert own_width
