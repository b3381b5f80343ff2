"""Every view of the page under axe-core, in light and dark, and its width on small screens."""

from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.service.helpers.page import APP, FAKE, MICROPHONE, READY, page
from tests.service.page.test_views import go

pytestmark = pytest.mark.slow  # axe looks at every element of every view, twice
AXE = (Path(find_spec("axe_core_python").origin).parent / "axe.min.js").read_text()
FINDINGS = """axe.run(document, { resultTypes: ["violations"] }).then(({ violations }) =>
  violations.map(({ id, nodes }) => [id, nodes.map(({ html }) => html)]))"""
VIEWS = ("listen", "look", "play", "teach", "models", "status")
WIDTHS = (320, 390, 820, 1440)


async def findings(tab):
    """What axe finds in light and in dark."""
    found = []
    for theme in ("light", "dark"):
        features = [{"name": "prefers-color-scheme", "value": theme}]
        await tab.send("Emulation.setEmulatedMedia", features=features)
        found += [[theme, *each] for each in await tab.run(FINDINGS)]
    return found


async def too_wide(tab):
    """Widths at which the page is wider than its window."""
    found = []
    for width in WIDTHS:
        size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False}
        await tab.send("Emulation.setDeviceMetricsOverride", **size)
        if await tab.run("document.documentElement.scrollWidth > innerWidth"):
            found.append(width)
    return found


async def test_axe_finds_nothing_in_any_view_and_every_view_fits_every_screen(serve, tmp_path):
    server = await serve(trainings=str(tmp_path / "teach"))
    async with page(server.url + "/", *FAKE) as tab:
        await tab.run(APP)
        await tab.until(READY)
        await tab.run(f"{AXE};0")
        # It does find something: an image without words.
        await tab.run("document.querySelector('main').append(new Image())")
        assert "image-alt" in str(await findings(tab))
        await tab.run("document.querySelector('main > img').remove()")
        for view in VIEWS:
            await go(tab, view)
            assert (view, await findings(tab), await too_wide(tab)) == (view, [], [])
        await go(tab, "listen")
        await tab.run(MICROPHONE)
        await tab.until("app.listening?.stream?.counts.windows > 1")
        await tab.run(
            "[...document.querySelectorAll('.correct summary, .published summary')]"
            ".forEach((each) => each.click())"
        )
        assert ("listening", await findings(tab), await too_wide(tab)) == ("listening", [], [])


async def test_axe_finds_nothing_on_the_page_of_the_description(serve):
    server = await serve()
    async with page(server.url + "/docs") as tab:
        await tab.run(f"{AXE};0")
        await tab.run(
            "document.querySelectorAll('details').forEach((each) => { each.open = true })"
        )
        for name in ("describeModel", "classify"):
            await tab.run(f"document.querySelector('#{name} form button').click()")
            await tab.until(f"document.querySelector('#{name} .status') !== null")
        assert (await findings(tab), await too_wide(tab)) == ([], [])
