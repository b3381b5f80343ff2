"""Events as lines of JSON."""

import json

import pytest

from service.client.events import End, Lost, Reconnect, as_json
from service.protocol import Warn


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        (Lost(from_sample=1, to_sample=2), "dropped"),
        (Reconnect(attempt=1, wait_s=0.5, detail="gone\nfor now"), "reconnect"),
        (End(reason="client ended", samples=1, windows=2, dropped=3, reconnects=4), "end"),
        (Warn(kind="silence", detail="nothing", from_sample=7), "warning"),
    ],
)
def test_an_event_is_one_line_with_its_type_first(event, kind):
    line = as_json(event)
    assert "\n" not in line
    assert next(iter(json.loads(line).items())) == ("type", kind)
    assert {name: value for name, value in json.loads(line).items() if name != "type"} == vars(
        event
    )
