"""The metrics of a training by epoch."""

import math

import numpy as np
import pytest

from training.pictures.learn.history import (
    Diverged,
    best_epoch,
    epochs_since_best,
    extended,
    halvings,
    is_lowest,
    one_cycle,
)


def epoch(valid_loss, loss=1.0):
    return {"loss": loss, "valid_loss": valid_loss, "valid_accuracy": 0.5}


def test_the_best_epoch_is_the_first_of_the_lowest_validation_loss():
    history = [epoch(loss) for loss in (3.0, 1.0, 2.0, 1.0)]
    assert best_epoch(history) == 2
    assert is_lowest(epoch(0.9), history)
    assert not is_lowest(epoch(1.0), history)
    assert is_lowest(epoch(9.0), [])


def test_seconds_add_up_over_the_epochs():
    history = extended([], epoch(2.0), began=0.0)
    longer = extended(history, epoch(1.0), began=0.0)
    assert longer[:1] == history
    assert longer[1]["seconds"] > history[0]["seconds"] > 0


@pytest.mark.parametrize("metrics", [epoch(math.nan), epoch(1.0, loss=math.inf)])
def test_a_loss_that_is_no_number_is_an_error(metrics):
    with pytest.raises(Diverged, match="diverges in epoch 2"):
        extended([{**epoch(1.0), "seconds": 1.0}], metrics, began=0.0)


def test_patience_and_plateau_count_epochs_since_the_lowest_loss():
    history = [{"valid_loss": loss} for loss in (3.0, 2.0, 2.5, 2.5, 2.4, 2.3)]
    assert [epochs_since_best(history[:n]) for n in range(7)] == [0, 0, 0, 1, 2, 3, 4]
    assert [halvings(history[:n], 2) for n in range(7)] == [0, 0, 0, 0, 1, 1, 2]


def test_a_one_cycle_rate_rises_then_falls_to_nothing():
    rates = [one_cycle(at) for at in np.linspace(0, 1, 101)]
    top = int(np.argmax(rates))
    assert top == 20
    assert rates[:21] == sorted(rates[:21])
    assert rates[20:] == sorted(rates[20:], reverse=True)
    assert 0 < rates[0] < 0.1
    assert rates[-1] == pytest.approx(0)
