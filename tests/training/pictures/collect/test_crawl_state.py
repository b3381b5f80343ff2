"""What a crawl has done, on disk."""

import pytest

from training.common.errors import MaterialError
from training.pictures.collect.crawl_state import CrawlState, Item

ROOT = Item(kind="page", url="/")
GUITARS = Item(kind="page", url="/guitars", path=("Guitars",))
FIRST = Item(kind="picture", url="/1.png", path=("Guitars",), about={"title": "one"})
SECOND = Item(kind="picture", url="/2.png", path=("Guitars",))


@pytest.fixture
def opened(tmp_path):
    ledgers = []

    def again(about=None):
        for state in ledgers:
            state.close()
        ledgers.append(CrawlState(tmp_path / "out", about or {"root": "/"}))
        ledgers[-1].start([ROOT])
        return ledgers[-1]

    yield again
    ledgers[-1].close()


def test_pictures_come_before_further_pages_and_nothing_twice(opened):
    state = opened()
    assert state.next() == ROOT
    state.finish(ROOT, "ok", [GUITARS, FIRST, FIRST, ROOT])
    assert state.next() == FIRST
    state.finish(FIRST, "ok", file="pictures/1.png", sha256="ab")
    assert state.next() == GUITARS
    state.finish(GUITARS, "ok", [FIRST, ROOT, GUITARS])
    assert state.next() is None
    assert state.files == {"ab": "pictures/1.png"}
    assert state.counts == {"page": 2, "picture": 1}


def test_a_crawl_goes_on_where_it_was(opened):
    state = opened()
    state.finish(ROOT, "ok", [GUITARS, FIRST, SECOND])
    state.finish(FIRST, "status 404")
    state = opened()
    assert state.next() == SECOND
    state.finish(SECOND, "ok", file="pictures/2.png", sha256="cd")
    state = opened()
    assert state.next() == GUITARS
    assert state.done["/1.png"]["result"] == "status 404"
    assert state.files == {"cd": "pictures/2.png"}


def test_what_may_pass_is_tried_again_the_next_time_only(opened):
    state = opened()
    state.finish(ROOT, "ok", [FIRST])
    state.finish(FIRST, "status 503, after 4 tries", again=True)
    assert state.next() is None
    state = opened()
    assert state.next() == FIRST
    state.finish(FIRST, "ok", file="pictures/1.png", sha256="ab")
    assert state.counts["picture"] == 1
    assert opened().next() is None


def test_a_line_that_a_kill_left_unfinished_is_cut_off(opened, tmp_path):
    state = opened()
    state.finish(ROOT, "ok", [FIRST])
    whole = state.path.read_bytes()
    state.finish(FIRST, "ok", file="pictures/1.png", sha256="ab")
    state.close()
    longer = state.path.read_bytes()
    for cut in (1, 20, len(longer) - len(whole) - 1):
        state.path.write_bytes(longer[:-cut])
        assert opened().next() == FIRST
        assert state.path.read_bytes() == whole


def test_a_folder_of_another_crawl_is_refused(opened):
    opened().close()
    with pytest.raises(MaterialError, match="another recipe"):
        opened({"root": "/other"})


def test_two_crawls_into_one_folder_are_refused(opened, tmp_path):
    opened()
    with pytest.raises(MaterialError, match="another process is crawling into"):
        CrawlState(tmp_path / "out", {"root": "/"})
