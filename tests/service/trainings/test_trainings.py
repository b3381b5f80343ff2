"""Trainings are queued, begun, cancelled and found again; real processes, also killed ones."""

import asyncio
import os
import shutil
import signal
from contextlib import asynccontextmanager

import pytest

from common.errors import Busy, InsufficientStorage, NotFound, Unprocessable
from service.settings import Settings
from service.trainings.folder import COLLECTIONS, open_folder, read_object
from service.trainings.record import EXIT, LOG, PROCESS, REQUEST, status_of, tail
from service.trainings.trainings import MAX_CHECKS, TrainingRequest, Trainings
from tests.service.conftest import until
from tests.service.helpers.queued import FOREVER, is_alive, queued, wait_until_gone

NOWHERE = TrainingRequest(recipe="sounds", settings={"collection.path": "nowhere"})


@pytest.fixture
def folder(tmp_path):
    return open_folder(str(tmp_path / "teach"))


@pytest.fixture(autouse=True)
def nothing_left(folder):
    yield
    for path in folder.glob(f"*/{PROCESS}"):
        process = read_object(path)
        if is_alive(process["pid"]):
            os.kill(process["pid"], signal.SIGTERM)
            wait_until_gone(process["pid"])


def trainings(folder, **settings):
    return Trainings(folder, Settings(trainings=str(folder), **settings))


@asynccontextmanager
async def watched(folder, **settings):
    """Trainings as a running server has them."""
    running = trainings(folder, **settings)
    async with asynccontextmanager(running.watch)(None):
        yield running


def states(*folders):
    return [status_of(folder).state for folder in folders]


def at_work(path):
    return tail(path / LOG) == ["at work"]


async def test_one_runs_at_a_time_and_the_next_is_begun_when_it_has_ended(folder):
    paths = [queued(folder, "print('x')") for _ in range(3)]
    async with watched(folder):
        await until(lambda: states(*paths) == ["done"] * 3)
    # Of those of one millisecond any may be the first.
    found = sorted((status_of(path) for path in paths), key=lambda status: status.begun)
    assert found[0].ended <= found[1].begun
    assert found[1].ended <= found[2].begun


@pytest.mark.parametrize("count", [1, 2])
async def test_no_more_run_than_the_setting_says(folder, count):
    paths = [queued(folder, FOREVER) for _ in range(3)]
    async with watched(folder, max_trainings=count) as running:
        await until(lambda: all(map(at_work, paths[:count])))
        assert states(*paths) == ["running"] * count + ["queued"] * (3 - count)
        for path in paths[:count]:
            await running.cancel(path.name, client="x", remove=False)
        await until(lambda: states(*paths[:count]) == ["cancelled"] * count)
        await until(lambda: at_work(paths[count]))


async def test_several_servers_on_one_folder_begin_each_training_once(folder):
    paths = [queued(folder, "print('x')") for _ in range(4)]
    async with watched(folder, max_trainings=2), watched(folder, max_trainings=2):
        await until(lambda: states(*paths) == ["done"] * 4)
    assert [tail(path / LOG) for path in paths] == [["x"]] * 4


async def test_a_training_goes_on_without_the_server_and_is_found_by_the_next_one(folder):
    path = queued(folder, FOREVER)
    waiting = queued(folder, "print('x')")
    async with watched(folder):
        await until(lambda: at_work(path))
    assert states(path, waiting) == ["running", "queued"]
    async with watched(folder) as running:
        found = await running.describe(path.name)
        assert (found["state"], found["log"]) == ("running", ["at work"])
        await running.cancel(path.name, client="x", remove=False)
        await until(lambda: states(path, waiting) == ["cancelled", "done"])


async def test_a_killed_training_is_failed_and_the_next_is_begun(folder):
    path = queued(folder, "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    waiting = queued(folder, "print('x')")
    async with watched(folder):
        await until(lambda: states(path, waiting) == ["failed", "done"])
    assert status_of(path).why == "it was ended by SIGKILL"


async def test_a_killed_wrapper_is_told_and_takes_all_along(folder):
    child = f"import subprocess, sys; c = subprocess.Popen([sys.executable, '-c', {FOREVER!r}])"
    path = queued(folder, f"{child}; print(c.pid, flush=True); c.wait()")
    waiting = queued(folder, "print('x')")
    async with watched(folder):
        await until(lambda: tail(path / LOG)[:1])
        os.kill(read_object(path / PROCESS)["pid"], signal.SIGKILL)
        await until(lambda: states(path, waiting) == ["failed", "done"])
    assert status_of(path).why == "its process was killed before it could end"
    assert status_of(path).ended
    wait_until_gone(int(tail(path / LOG)[0]))


async def test_a_wrapper_that_dies_while_no_server_runs_is_told_by_the_next_one(folder):
    path = queued(folder, FOREVER)
    async with watched(folder):
        await until(lambda: at_work(path))
    pid = read_object(path / PROCESS)["pid"]
    os.kill(pid, signal.SIGKILL)
    wait_until_gone(pid)
    assert states(path) == ["failed"]
    async with watched(folder):
        await until((path / EXIT).exists)
    assert states(path) == ["failed"]


async def test_a_queued_training_that_is_cancelled_is_never_begun(folder):
    first, second = queued(folder, FOREVER), queued(folder, "print('x')")
    async with watched(folder) as running:
        await until(lambda: at_work(first))
        found = await running.cancel(second.name, client="x", remove=False)
        assert found["state"] == "cancelled"
        await running.cancel(first.name, client="x", remove=False)
        await until(lambda: states(first) == ["cancelled"])
        third = queued(folder, "print('x')")
        await until(lambda: states(third) == ["done"])
    assert states(second) == ["cancelled"]
    assert not (second / LOG).exists()


async def test_one_that_has_ended_stays_as_it_is_until_it_is_removed(folder):
    path = queued(folder, "print('x')")
    async with watched(folder) as running:
        with pytest.raises(Unprocessable, match="has not ended: cancel it first"):
            await running.cancel(path.name, client="x", remove=True)
        await until(lambda: states(path) == ["done"])
        assert (await running.cancel(path.name, client="x", remove=False))["state"] == "done"
        assert (await running.cancel(path.name, client="x", remove=True))["state"] == "done"
        assert not path.exists()
        assert await running.listing() == []
        with pytest.raises(NotFound, match="no training"):
            await running.describe(path.name)


@pytest.mark.parametrize(
    "id_", ["", ".", "..", "lock", "collections", "cache", "../x", "20261130-120000-123-0a1b2c3d"]
)
async def test_what_is_no_training_is_not_found(folder, id_):
    with pytest.raises(NotFound, match="no training"):
        trainings(folder).path(id_)


@pytest.mark.slow  # starts a training for each setting
async def test_settings_are_rejected_in_the_words_of_the_training(folder):
    running = trainings(folder)
    for request, words in (
        (TrainingRequest(recipe="sounds", settings={"forest.treees": 3}), "unknown setting treees"),
        (TrainingRequest(recipe="sounds", settings={"windows.hop": 99}), "windows.hop=99"),
        (TrainingRequest(recipe="nonesuch"), "no recipe 'nonesuch'; there is birds"),
    ):
        with pytest.raises(Unprocessable) as caught:
            await running.start(request, client="x")
        assert words in str(caught.value)
        assert "Traceback" not in str(caught.value)
    assert await running.listing() == []


async def test_no_more_are_checked_at_one_time_than_a_few(folder):
    running = trainings(folder)
    wrong = TrainingRequest(recipe="nonesuch")
    calls = [running.start(wrong, client="x") for _ in range(MAX_CHECKS + 1)]
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    kinds = sorted(type(outcome).__name__ for outcome in outcomes)
    assert kinds == ["Busy", *["Unprocessable"] * MAX_CHECKS]
    with pytest.raises(Unprocessable):
        await running.start(wrong, client="x")


@pytest.mark.parametrize(
    "recipe", ["", "../sounds", "/etc/x.toml", "sounds.toml", "--help", "a b", "A", "a" * 65]
)
def test_a_recipe_is_named_and_no_path(recipe):
    with pytest.raises(Unprocessable, match="must be the name of a recipe"):
        TrainingRequest(recipe=recipe)


@pytest.mark.parametrize("name", ["..", "a/b", "Birds", "a_b", "--out", "a" * 65])
def test_a_name_is_that_of_a_model(name):
    with pytest.raises(Unprocessable, match="must be lower-case words joined by hyphens"):
        TrainingRequest(recipe="sounds", name=name)
    TrainingRequest(recipe="sounds", name="a" * 64)


async def test_a_collection_that_is_not_there_fails_in_the_words_of_the_training(folder):
    async with watched(folder) as running:
        found = await running.start(NOWHERE, client="x")
        path = folder / found["id"]
        await until(lambda: states(path) == ["failed"], seconds=300)
        found = await running.describe(found["id"])
    assert f"no folder or file {folder / COLLECTIONS / 'nowhere'}" in found["error"]
    assert found["result"] is None


async def test_the_queue_and_what_is_kept_are_bounded(folder):
    paths = [queued(folder, "print('x')") for _ in range(2)]
    with pytest.raises(Busy, match=r"2 trainings are queued, .*max_queued_trainings"):
        await trainings(folder, max_queued_trainings=2).start(NOWHERE, client="x")
    with pytest.raises(InsufficientStorage, match=r"2 trainings are kept, .*max_kept_trainings"):
        await trainings(folder, max_kept_trainings=2).start(NOWHERE, client="x")
    roomy = trainings(folder, max_queued_trainings=3, max_kept_trainings=3)
    third = await roomy.start(NOWHERE, client="x")
    assert third["state"] == "queued"
    assert [one["id"] for one in await roomy.listing()] == [
        third["id"],
        *sorted((path.name for path in paths), reverse=True),
    ]


async def test_a_training_with_damaged_files_keeps_no_other_from_running(folder):
    damaged = [queued(folder, "print('x')") for _ in range(3)]
    for path, name in zip(damaged, (EXIT, PROCESS, REQUEST), strict=True):
        (path / name).write_text("{")
    path = queued(folder, "print('x')")
    async with watched(folder) as running:
        await until(lambda: states(path) == ["done"])
        assert len(await running.listing()) == 4
        assert (await running.cancel(damaged[0].name, client="x", remove=True))["state"] == "failed"
    assert not damaged[0].exists()
    (damaged[1] / PROCESS).unlink()


async def test_what_was_being_removed_is_gone_after_the_next_start(folder):
    queued(folder, "print('x')").rename(folder / ".removed-20261130-120000-123-0a1b2c3d")
    async with watched(folder) as running:
        assert await running.listing() == []
    assert sorted(path.name for path in folder.iterdir()) == [COLLECTIONS, "lock"]


async def test_one_that_another_server_has_accepted_is_begun_when_it_is_looked_at(folder):
    async with watched(folder) as running:
        path = queued(folder, "print('x')")
        await running.describe(path.name)
        await until(lambda: states(path) == ["done"])


async def test_a_folder_that_goes_away_is_logged_once_and_may_come_back(folder, capfd):
    async with watched(folder):
        path = queued(folder, FOREVER)
        await until(lambda: at_work(path))
        moved = shutil.move(folder, f"{folder}-moved")
        said = ""
        async with asyncio.timeout(60):
            while "trainings cannot be read" not in said:
                said += capfd.readouterr().err
                await asyncio.sleep(0.01)
        shutil.move(moved, folder)
        async with asyncio.timeout(60):
            while "trainings can be read" not in said:
                said += capfd.readouterr().err
                await asyncio.sleep(0.01)
    assert said.count("trainings cannot be read") == 1
