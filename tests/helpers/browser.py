"""Chromium without a window, spoken to by the DevTools protocol."""

import asyncio
import json
import shutil
import tempfile
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import aiohttp
import pytest

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--window-size=1280,860", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--remote-debugging-port=0",
)  # fmt: skip


NOT_LOADED = ("execution context", "navigated", "context was destroyed")


class PageChanging(Exception):
    """The page is being loaded; ask again."""


class Tab:
    """One page; `events` are what it reported until the last answer."""

    def __init__(self, socket):
        self.socket, self.number, self.events = socket, 0, []

    async def send(self, method, **parameters):
        self.number += 1
        await self.socket.send_json({"id": self.number, "method": method, "params": parameters})
        while True:
            answer = await self.socket.receive_json(timeout=240)
            if answer.get("id") != self.number:
                self.events.append(answer)
                continue
            if any(words in str(answer.get("error", "")) for words in NOT_LOADED):
                raise PageChanging(answer["error"])
            assert "error" not in answer, answer
            return answer["result"]

    def reported(self, method):
        """Return what the page reported by this name."""
        return [event["params"] for event in self.events if event.get("method") == method]

    async def run(self, script):
        """Return what an expression is worth."""
        answer = await self.send(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    async def until(self, script, *, seconds=240):
        """Wait until an expression holds."""
        deadline = asyncio.get_running_loop().time() + seconds
        while True:
            with suppress(PageChanging):
                if value := await self.run(script):
                    return value
            assert asyncio.get_running_loop().time() < deadline, script
            await asyncio.sleep(0.03)

    async def press(self, key):
        """Press and release a key."""
        text = {"text": key} if len(key) == 1 else {"text": "\r"} if key == "Enter" else {}
        await self.send("Input.dispatchKeyEvent", type="keyDown", key=key, **text)
        await self.send("Input.dispatchKeyEvent", type="keyUp", key=key)


@asynccontextmanager
async def opened(url, *flags):
    """Open a page and give its tab; skips the test where there is no Chromium."""
    program = (
        shutil.which("chromium")
        or shutil.which("chromium-browser")
        or shutil.which("google-chrome")
    )
    if not program:
        pytest.skip("Chromium is not installed")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        quiet = {"stdout": asyncio.subprocess.DEVNULL, "stderr": asyncio.subprocess.DEVNULL}
        process = await asyncio.create_subprocess_exec(
            program, *FLAGS, *flags, f"--user-data-dir={folder}", url, **quiet
        )
        try:
            async with aiohttp.ClientSession() as session:
                address = await _address(session, Path(folder) / "DevToolsActivePort")
                async with session.ws_connect(address, max_msg_size=0) as socket:
                    yield Tab(socket)
        finally:
            process.kill()
            await process.wait()


async def _address(session, file):
    async with asyncio.timeout(60):
        while not (file.exists() and file.read_text().count("\n")):  # noqa: ASYNC110 - no event
            await asyncio.sleep(0.05)
        port = file.read_text().split()[0]
        while True:
            async with session.get(f"http://127.0.0.1:{port}/json/list") as answer:
                pages = [page for page in json.loads(await answer.text()) if page["type"] == "page"]
            if pages:
                return pages[0]["webSocketDebuggerUrl"]
            await asyncio.sleep(0.05)
