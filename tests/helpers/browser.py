"""Chromium without a window, spoken to by the DevTools protocol.

One Chromium for all pages of a test process that need the same flags; each page has cookies,
storage and permissions of its own.
"""

import asyncio
import atexit
import shutil
import subprocess
import tempfile
import time
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path

import aiohttp
import pytest

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--autoplay-policy=no-user-gesture-required", "--remote-debugging-port=0",
)  # fmt: skip


NOT_LOADED = ("execution context", "navigated", "context was destroyed")


class PageChanging(Exception):
    """The page is being loaded; ask again."""


class ScriptError(AssertionError):
    """An expression threw; an element that it names may not be there yet."""


class Tab:
    """One page; `events` are what it reported until the last answer."""

    def __init__(self, socket, context=None):
        self.socket, self.context, self.number, self.events = socket, context, 0, []

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
        """Return what an expression is worth; raises ScriptError where it throws."""
        answer = await self.send(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in answer:
            raise ScriptError(answer["result"].get("description", answer))
        return answer["result"].get("value")

    async def until(self, script, *, seconds=240):
        """Wait until an expression holds."""
        deadline = asyncio.get_running_loop().time() + seconds
        while True:
            error = ""
            try:
                if value := await self.run(script):
                    return value
            except PageChanging:
                pass
            except ScriptError as thrown:
                error = str(thrown)
            assert asyncio.get_running_loop().time() < deadline, f"{script} {error}"
            await asyncio.sleep(0.03)

    async def press(self, key):
        """Press and release a key."""
        text = {"text": key} if len(key) == 1 else {"text": "\r"} if key == "Enter" else {}
        await self.send("Input.dispatchKeyEvent", type="keyDown", key=key, **text)
        await self.send("Input.dispatchKeyEvent", type="keyUp", key=key)


@asynccontextmanager
async def opened(url, *flags, size=(1280, 860)):
    """Open a page and give its tab; skips the test where there is no Chromium."""
    address, path = chromium(flags)
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(address + path, max_msg_size=0) as socket,
    ):
        browser = Tab(socket)
        context = (await browser.send("Target.createBrowserContext"))["browserContextId"]
        target = await browser.send(
            "Target.createTarget", url=url, browserContextId=context, width=size[0], height=size[1]
        )
        page = f"{address}/devtools/page/{target['targetId']}"
        try:
            async with session.ws_connect(page, max_msg_size=0) as page_socket:
                yield Tab(page_socket, context)
        finally:
            await browser.send("Target.disposeBrowserContext", browserContextId=context)


@cache
def chromium(flags):
    """Start a Chromium; returns its address and the path of its DevTools."""
    names = ("chromium", "chromium-browser", "google-chrome")
    program = next(filter(None, map(shutil.which, names)), None)
    if not program:
        pytest.skip("Chromium is not installed")
    folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    command = [program, *FLAGS, *flags, f"--user-data-dir={folder.name}", "about:blank"]
    process = subprocess.Popen(command, **quiet)

    @atexit.register
    def end():
        process.kill()
        process.wait()
        folder.cleanup()

    file = Path(folder.name) / "DevToolsActivePort"
    deadline = time.monotonic() + 60
    while not (file.exists() and file.read_text().count("\n")):
        assert process.poll() is None, "Chromium has ended"
        assert time.monotonic() < deadline, "Chromium does not start"
        time.sleep(0.05)
    port, path = file.read_text().split()
    return f"ws://127.0.0.1:{port}", path
