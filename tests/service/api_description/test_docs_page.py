"""The page of the description: everything is on it, as text, without a request elsewhere."""

import re
from html.parser import HTMLParser

import pytest

from service.api_description.docs_page import docs_page, marked
from service.page.files import page_files
from service.settings import Settings

VOID = {"meta", "link", "img", "input", "br", "wbr"}


class Parsed(HTMLParser):
    """Ids, links and text of a page, and what is not closed."""

    def __init__(self, text):
        super().__init__()
        self.ids, self.links, self.open, self.text, self.tags = [], [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.tags.append((tag, found))
        self.ids += [found["id"]] if "id" in found else []
        self.links += [found[name] for name in ("href", "src") if name in found]
        self.open += [tag] if tag not in VOID else []

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture(scope="module")
def page():
    return Parsed(docs_page(Settings()))


def test_every_route_and_every_message_is_on_the_page(page, document, stream_document):
    text = "".join(page.text)
    for path, item in document["paths"].items():
        assert path in text
        for operation in item.values():
            if "operationId" in operation:
                assert operation["operationId"] in page.ids
                for each in operation.get("parameters", ()):
                    assert each["name"] in text
    for name, message in stream_document["components"]["messages"].items():
        assert f"message-{name}" in page.ids
        assert message["title"] in text


def test_its_elements_are_closed_and_its_ids_unique(page):
    assert page.open == []
    assert len(set(page.ids)) == len(page.ids)


def test_links_lead_to_this_server_and_to_what_is_there(page):
    files = page_files()
    for link in page.links:
        if link.startswith("#"):
            assert link[1:] in page.ids, link
        elif link.startswith("/app/") and link.count("/") == 3:
            _, _, version, name = link.split("/")
            assert (version, name in files.files) == (files.version, True)
        else:
            assert link in {"/docs", "/openapi.json", "/asyncapi.json", "/app/listen"}, link


def test_nothing_stands_in_line_that_the_policy_forbids(page):
    for tag, attributes in page.tags:
        assert tag != "style"
        assert tag != "script" or "src" in attributes
        assert not [name for name in attributes if name == "style" or name.startswith("on")]


def test_a_field_for_the_key_is_shown_where_the_server_has_keys():
    for keys, is_hidden in (("", True), ("keys.json", False)):
        (row,) = re.findall(r'<p class="key"( hidden)?>', docs_page(Settings(keys=keys)))
        assert bool(row) is is_hidden
        line = "curl -H &#x27;Authorization: Bearer KEY&#x27; --data-binary"
        assert (line in docs_page(Settings(keys=keys))) is not is_hidden


def test_markup_in_a_description_is_text():
    assert marked("<b> & `a<b`") == "&lt;b&gt; &amp; <code>a&lt;b</code>"
    assert marked("[it](/x.json)") == '<a href="/x.json">it</a>'
    assert marked("[it](javascript:x)") == "[it](javascript:x)"
