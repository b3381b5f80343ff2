"""The page that tells what a crawl brought."""

from training.pictures.collect import crawl_report
from training.pictures.collect.html import Selector, parse


def step(kind, url, result="ok", **more):
    return {"kind": kind, "url": url, "result": result, "path": [], "about": {}, **more}


def test_pictures_by_label_and_reasons_by_number(tmp_path):
    steps = [step("page", "/"), *(step("picture", f"/gone{i}", "status 404") for i in range(7))]
    steps += [step("picture", f"/twin{i}", f"the same picture as {i}") for i in range(3)]
    steps += [
        step(
            "picture",
            f"/{i}",
            file=f"pictures/bass/a b#{i}.png",
            path=["All", "Bass & co"],
            about={"title": "<i>"},
        )
        for i in range(30)
    ]
    page = parse(
        crawl_report.write(tmp_path, steps, "http://s.example/?a&b", pending=12).read_text(
            encoding="utf-8"
        )
    )
    assert "30 pictures of 1 label from 1 page; a limit was reached; pending: 12 URLs" in page.text
    images = Selector.parse(".pictures img").all(page)
    assert len(images) == crawl_report.SHOWN
    assert images[0].attributes["src"] == "pictures/bass/a%20b%230.png"
    assert images[0].attributes["alt"] == "<i>"
    rows = [row.text for row in Selector.parse("tr").all(page)]
    assert "picture: status 404 7 /gone0 /gone1 /gone2 /gone3 /gone4" in rows
    assert "picture: the same picture again 3 /twin0 /twin1 /twin2" in rows
    assert "All / Bass & co 30" in rows
