"""A page of windows to listen to."""

import re

from training.data_cli.heard_page import Heard, heard_page
from training.recordings.collection import Clip


def test_each_window_is_heard_and_what_is_said_of_it_is_text(tmp_path, write_sound):
    clip = Clip(write_sound(tmp_path / "a.wav"), 0.0, 3.0, (), "a")
    some = [Heard(clip, 0.0, {"file": "<a>"}), Heard(clip, 2.5, {"file": "b"})]
    page = heard_page("T", "About.", [("One", some), ("None", [])], length=1.0)
    assert page.count("<audio") == page.count('alt="spectrogram"') == 2
    assert "&lt;a&gt;" in page
    assert ">None<" not in page
    assert not re.search(r'(src|href)="(?!data:|#)', page)


def test_a_recording_heard_often_is_decoded_once_and_the_order_stays(
    tmp_path, write_sound, decoded
):
    a, b = (write_sound(tmp_path / name, hertz=500) for name in ("a.wav", "b.wav"))
    heard = [
        Heard(Clip(path, 0.0, 3.0, (), "s"), second, {"at": f"{path.stem} {second}"})
        for path, second in ((b, 0.0), (a, 1.0), (b, 1.0), (a, 0.0))
    ]
    text = heard_page("T", "", [("x", heard[:3]), ("none", []), ("y", heard[3:])], length=1.0)
    assert re.findall("<dd>(.*?)</dd>", text) == ["b 0.0", "a 1.0", "b 1.0", "a 0.0"]
    assert decoded == ["a.wav", "b.wav"]
