"""The page of a server in Chromium, and what it may not do meanwhile."""

from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from tests.helpers.browser import opened

FAKE = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
READY = "document.querySelector('#server').dataset.kind === 'good'"
MICROPHONE = "document.querySelector('.welcome button').click()"
BANNER = "document.querySelector('.banner:not([hidden])')?.innerText ?? ''"


@asynccontextmanager
async def page(address, *flags):
    """A tab that shows the page, and reports what goes over the network and what goes wrong."""
    async with opened("about:blank", *flags, size=(700, 700)) as tab:
        for domain in ("Network", "Log", "Runtime", "Page"):
            await tab.send(f"{domain}.enable")
        await tab.send("Page.navigate", url=address)
        await tab.until("document.querySelector('main > section') !== null")
        yield tab
        await tab.run("0")
        assert tab.reported("Runtime.exceptionThrown") == []
        own = urlsplit(address).netloc
        urls = [event["request"]["url"] for event in tab.reported("Network.requestWillBeSent")]
        urls += [event["url"] for event in tab.reported("Network.webSocketCreated")]
        asked = [url for url in map(urlsplit, urls) if url.scheme not in {"blob", "data", "about"}]
        assert {url.netloc for url in asked} == {own}
        texts = [event["entry"]["text"] for event in tab.reported("Log.entryAdded")]
        assert [text for text in texts if "Content Security Policy" in text] == []


APP = """(async () => {
  window.app = (await import(document.querySelector('script[src$="app.js"]').src)).app;
})()"""
OPEN = "app.listening.stream?.state === 'open'"
