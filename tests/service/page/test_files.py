"""The files of the page: hashed, compressed, small, without anything from elsewhere."""

import gzip
import re

from service.page.files import DOCUMENT, STATIC, page_files
from tests.helpers.server_process import ROOT

MOST = 150_000
"""Bytes that a first visit may take."""
ANYWHERE_ELSE = re.compile(rb"""(?:https?:|wss?:)?//[a-z0-9.-]+\.[a-z]{2,}""", re.IGNORECASE)


def code():
    return {
        path.name: path.read_bytes()
        for path in STATIC.iterdir()
        if path.suffix in {".js", ".css", ".html", ".svg"}
    }


def test_the_document_names_the_version_of_its_files():
    files = page_files()
    text = files.document.body.decode()
    assert "{{" not in text
    named = re.findall(r'/app/(\w{16})/([\w.]+)"', text)
    assert named
    for version, name in named:
        assert version == files.version
        assert name in files.files


def test_text_is_compressed_and_sound_is_not():
    files = page_files().files
    script = files["timbre.js"]
    assert gzip.decompress(script.packed) == script.body
    assert files["quartet.ogg"].packed is None
    assert files["quartet.ogg"].body == (ROOT / "examples" / "quartet.ogg").read_bytes()


def test_a_first_visit_takes_at_most_150_kilobytes():
    files = page_files()
    sizes = [len(file.packed or file.body) for name, file in files.files.items() if name in code()]
    assert sum(sizes) + len(files.document.packed) <= MOST


def test_nothing_points_to_another_host_and_nothing_stands_in_line():
    for name, body in code().items():
        # The name of a vocabulary is no address.
        text = body.replace(b"http://www.w3.org/2000/svg", b"")
        assert ANYWHERE_ELSE.findall(text) == [], name
    document = code()[DOCUMENT]
    assert not re.search(rb"<style|<script(?![^>]* src=)|\sstyle=|\son\w+=", document)


def test_no_script_makes_markup_of_text():
    for name, body in code().items():
        assert not re.search(
            rb"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b", body
        ), name
