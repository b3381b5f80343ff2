"""What a crawl has done, on disk."""

import pytest

from training.common.errors import MaterialError
from training.pictures.collect.crawl_state import Item, Ledger

ROOT = Item(kind="page", url="/")
GUITARS = Item(kind="page", url="/guitars", path=("Guitars",))
FIRST = Item(kind="picture", url="/1.png", path=("Guitars",), about={"title": "one"})
SECOND = Item(kind="picture", url="/2.png", path=("Guitars",))


@pytest.fixture
def opened(tmp_path):
    ledgers = []

    def again(about=None):
        for ledger in ledgers:
            ledger.close()
        ledgers.append(Ledger(tmp_path / "out", about or {"root": "/"}))
        ledgers[-1].begin([ROOT])
        return ledgers[-1]

    yield again
    ledgers[-1].close()


def test_pictures_come_before_further_pages_and_nothing_twice(opened):
    ledger = opened()
    assert ledger.next() == ROOT
    ledger.finish(ROOT, "ok", [GUITARS, FIRST, FIRST, ROOT])
    assert ledger.next() == FIRST
    ledger.finish(FIRST, "ok", file="pictures/1.png", sha256="ab")
    assert ledger.next() == GUITARS
    ledger.finish(GUITARS, "ok", [FIRST, ROOT, GUITARS])
    assert ledger.next() is None
    assert ledger.files == {"ab": "pictures/1.png"}
    assert ledger.counts == {"page": 2, "picture": 1}


def test_a_crawl_goes_on_where_it_was(opened):
    ledger = opened()
    ledger.finish(ROOT, "ok", [GUITARS, FIRST, SECOND])
    ledger.finish(FIRST, "status 404")
    ledger = opened()
    assert ledger.next() == SECOND
    ledger.finish(SECOND, "ok", file="pictures/2.png", sha256="cd")
    ledger = opened()
    assert ledger.next() == GUITARS
    assert ledger.done["/1.png"]["result"] == "status 404"
    assert ledger.files == {"cd": "pictures/2.png"}


def test_what_may_pass_is_tried_again_the_next_time_only(opened):
    ledger = opened()
    ledger.finish(ROOT, "ok", [FIRST])
    ledger.finish(FIRST, "status 503, after 4 tries", again=True)
    assert ledger.next() is None
    ledger = opened()
    assert ledger.next() == FIRST
    ledger.finish(FIRST, "ok", file="pictures/1.png", sha256="ab")
    assert ledger.counts["picture"] == 1
    assert opened().next() is None


def test_a_line_that_a_kill_left_unfinished_is_cut_off(opened, tmp_path):
    ledger = opened()
    ledger.finish(ROOT, "ok", [FIRST])
    whole = ledger.path.read_bytes()
    ledger.finish(FIRST, "ok", file="pictures/1.png", sha256="ab")
    ledger.close()
    longer = ledger.path.read_bytes()
    for cut in (1, 20, len(longer) - len(whole) - 1):
        ledger.path.write_bytes(longer[:-cut])
        assert opened().next() == FIRST
        assert ledger.path.read_bytes() == whole


def test_a_folder_of_another_crawl_is_refused(opened):
    opened().close()
    with pytest.raises(MaterialError, match="another recipe"):
        opened({"root": "/other"})


def test_two_crawls_into_one_folder_are_refused(opened, tmp_path):
    opened()
    with pytest.raises(MaterialError, match="another process crawls into"):
        Ledger(tmp_path / "out", {"root": "/"})
