import inspect

import pytest

from common import errors

ALL = [e for e in vars(errors).values() if inspect.isclass(e) and issubclass(e, errors.TimbreError)]


@pytest.mark.parametrize("error", ALL)
def test_every_error_says_how_http_and_websocket_report_it(error):
    assert 400 <= error.status <= 599
    assert error.close_code in {1001, 1003, 1007, 1008, 1009, 1011, 1013}
    assert error.title
    assert error.__doc__


def test_every_error_stands_in_the_tree_of_the_module_docstring():
    for error in ALL[1:]:
        assert error.__name__ in errors.__doc__
