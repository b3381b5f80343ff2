"""What an image and its parts take is measured by their files."""

from tools import container_run


def test_the_parts_of_an_image_are_measured(tmp_path):
    (tmp_path / "opt" / "timbre").mkdir(parents=True)
    (tmp_path / "opt" / "timbre" / "package").write_bytes(b"x" * (3 << 20))
    (tmp_path / "base").write_bytes(b"x" * (2 << 20))
    found = {row["what"]: round(row["mib"]) for row in container_run.sizes(tmp_path, None)}
    assert found == {"Python and its packages": 3, "whole image": 5}
    rows = container_run.sizes(tmp_path, tmp_path / "base")
    assert rows[0]["what"] == "base"
    assert round(rows[0]["mib"]) == 2
