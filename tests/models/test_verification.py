"""An artefact that never loads, or ends the process that loads it, is rejected within a limit."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Queue

import pytest

from common.errors import ArtefactError
from models import verification
from models.artefact import write
from models.cli import main
from models.store import Store
from models.verification import Abandoned, Verifier, VerifierProcess, verify, within
from tests.helpers.waiting_file import kept_waiting
from tests.models.helpers.endless import endless_loop, endless_operator, put_endless

SHAPE, LABELS = (26,), 3
ENDLESS = {
    "loop": endless_loop(SHAPE, LABELS),
    "operator": endless_operator(SHAPE, LABELS),
    "folded operator": endless_operator(SHAPE, LABELS, folded=True),
}


@pytest.fixture
def started(monkeypatch):
    """The processes that the test starts."""
    processes = []

    class Noted(subprocess.Popen):
        def __init__(self, *args, **options):
            super().__init__(*args, **options)
            processes.append(self)

    monkeypatch.setattr(subprocess, "Popen", Noted)
    return processes


def in_time(work, accepted):
    """The first limit in which a good artefact is loaded, and what `work` returned with it.

    One limit holds for the good and the endless, and a busy machine needs longer for the good.
    """
    for limit_s in (1, 4, 16, 64):
        done = work(limit_s)
        if accepted(done):
            break
    return limit_s, done


def test_a_good_artefact_is_accepted_and_its_process_has_ended(trio, started):
    verify(trio, limit_s=60)
    assert [process.returncode for process in started] == [0]


def test_a_broken_artefact_is_rejected_with_the_reason_of_the_store(trio):
    (trio / "report.md").write_text("other")
    with pytest.raises(ArtefactError, match="is not the file the manifest was made with"):
        verify(trio, limit_s=60)


@pytest.mark.parametrize("kind", ENDLESS)
def test_a_graph_that_never_ends_is_rejected_and_its_process_killed(artefacts, started, kind):
    folder = put_endless(artefacts, "trio", "2", ENDLESS[kind])
    with pytest.raises(ArtefactError, match="not loaded and verified within 1 s"):
        verify(folder, limit_s=1)
    assert [process.returncode for process in started] == [-signal.SIGKILL]


def test_an_artefact_that_ends_the_process_is_rejected_with_the_signal(artefacts, monkeypatch):
    class Crashing(subprocess.Popen):
        def __init__(self, *args, **options):
            super().__init__(*args, **options)
            self.send_signal(signal.SIGSEGV)

    monkeypatch.setattr(subprocess, "Popen", Crashing)
    folder = put_endless(artefacts, "trio", "2", ENDLESS["loop"])
    with pytest.raises(ArtefactError, match="ends the process, with signal SIGSEGV"):
        verify(folder, limit_s=60)


def test_the_store_tells_the_version_and_serves_the_others(artefacts):
    put_endless(artefacts, "trio", "2", ENDLESS["loop"])
    store = Store(artefacts, load_timeout=1)
    with pytest.raises(ArtefactError, match=r"^trio 2: not loaded and verified within 1 s"):
        store.load("trio", "2")
    assert Store(artefacts, load_timeout=60).load("trio", "1").version == "1"


def test_a_version_is_verified_again_only_when_its_files_change(trio):
    store, verifier = Store(trio.parents[1]), Verifier(60)
    text = (trio / "report.md").read_text()
    (trio / "report.md").write_text("other")
    before = store.signature("trio", "1")
    for _ in range(2):
        with pytest.raises(ArtefactError, match=r"report\.md"):
            verifier.check(trio, before)
    (trio / "report.md").write_text(text)
    with pytest.raises(ArtefactError, match=r"report\.md"):
        verifier.check(trio, before)
    verifier.check(trio, store.signature("trio", "1"))


def test_a_known_outcome_does_not_wait_for_a_version_that_is_being_verified(artefacts, monkeypatch):
    begun: Queue[subprocess.Popen] = Queue()

    class Noted(subprocess.Popen):
        def __init__(self, *args, **options):
            super().__init__(*args, **options)
            begun.put(self)

    monkeypatch.setattr(subprocess, "Popen", Noted)
    endless = put_endless(artefacts, "trio", "2", ENDLESS["loop"])
    verifier, signature = Verifier(60), (("file", 1, 1, 1),)
    good, bad = artefacts / "trio" / "1", artefacts / "trio" / "3"
    verifier.record(good, signature)
    verifier.record(bad, signature, "spoiled")
    with ThreadPoolExecutor() as pool:
        checking = pool.submit(verifier.check, endless, signature)
        process = begun.get(timeout=60)
        try:
            verifier.check(good, signature)
            with pytest.raises(ArtefactError, match="spoiled"):
                verifier.check(bad, signature)
            assert not checking.done()
        finally:
            process.kill()
        with pytest.raises(ArtefactError, match="signal SIGKILL"):
            checking.result()


@pytest.mark.parametrize("kind", ["loop", "operator"])
def test_at_the_start_the_newest_version_that_loads_in_time_is_served(artefacts, kind):
    put_endless(artefacts, "trio", "2", ENDLESS[kind])

    def start(limit_s):
        # A process of its own, as the thread of the operator does not end.
        code = (
            "import os\nfrom models.store import Store\n"
            f"model, rejected = Store({str(artefacts)!r}, load_timeout={limit_s}).first('trio')\n"
            "print(model.version, rejected, flush=True)\nos._exit(0)"
        )
        command = [sys.executable, "-c", code]
        return subprocess.run(command, check=False, capture_output=True, text=True)

    limit_s, done = in_time(start, lambda done: done.returncode == 0)
    reason = f"trio 2: not loaded and verified within {limit_s} s; it may never end"
    assert done.stdout == f"1 { ({'2': reason}) }\n"


def test_at_the_start_nothing_is_loaded_in_a_process_of_its_own(artefacts):
    store = Store(artefacts, load_timeout=60)
    model, rejected = store.first("trio")
    assert (model.version, rejected) == ("1", {})
    assert store.load("trio", "1") is model


def test_work_within_a_limit_returns_or_raises_what_it_did(monkeypatch):
    monkeypatch.setattr(verification, "ROUND_S", 0.05)
    monkeypatch.setattr(verification, "PATIENCE", 2_000)
    assert within(60, lambda: 42) == 42
    with pytest.raises(KeyError, match="missing"):
        within(60, lambda: {}["missing"])
    with pytest.raises(TimeoutError, match="its own"):
        within(60, raises_timeout)
    ended = threading.Event()

    def work():
        while not ended.is_set():
            pass

    with pytest.raises(Abandoned, match=r"not loaded and verified within 0\.05 s; it may"):
        within(0.05, work)
    ended.set()


def raises_timeout():
    raise TimeoutError("its own")


def test_what_gets_no_processor_is_waited_for_and_told(monkeypatch):
    monkeypatch.setattr(verification, "PROGRESS_S", 0.02)
    told, given = [], threading.Event()

    def report(waited, used):
        told.append((waited, used))
        if waited > 0.2:
            given.set()

    assert within(0.1, lambda: given.wait(60) and 42, report=report) == 42
    assert all(used < 0.1 for _, used in told)


def test_work_that_waits_has_a_multiple_of_its_limit_by_the_clock_and_no_more(monkeypatch):
    monkeypatch.setattr(verification, "PROGRESS_S", 0.02)
    told, given, longest_s = [], threading.Event(), 0.05 * verification.PATIENCE
    with pytest.raises(Abandoned, match=r"within \d+ s, in which it had a processor for 0\.\d"):
        within(0.05, given.wait, report=lambda waited, _: told.append(waited))
    assert max(told, default=0) < longest_s

    def report(waited, _):
        if waited > longest_s:
            given.set()

    assert within(0.05, lambda: given.wait(60) and 42, more_s=60, report=report) == 42


def loading_threads():
    return [each for each in threading.enumerate() if each.name == "load"]


def test_a_version_that_waits_for_ever_is_rejected_at_the_start_and_an_older_one_served(
    artefacts, monkeypatch
):
    folder = artefacts / "trio"
    for version in "23":
        shutil.copytree(folder / "1", folder / version)

    def start(wait_s):
        monkeypatch.setattr(verification, "PATIENCE", wait_s / 60)
        files = [folder / version / "model.onnx" for version in "32"]
        with kept_waiting(files[0]), kept_waiting(files[1]):
            try:
                outcome = Store(artefacts, load_timeout=60).first("trio")
            except ArtefactError:  # the good version, on a busy machine
                outcome = None
            left = loading_threads()
        for thread in left:
            thread.join(60)
        return outcome, left

    _, (outcome, left) = in_time(start, lambda done: done[0] is not None)
    model, rejected = outcome
    assert model.version == "1"
    assert list(rejected) == ["3", "2"]
    for version, why in rejected.items():
        assert re.match(rf"trio {version}: not loaded and verified within \d+ s, in which", why)
    # One thread at most, however many versions wait, and it ends once it has its file.
    [thread] = left
    assert not thread.is_alive()


def test_a_version_that_waits_once_it_is_verified_is_rejected_until_its_files_change(
    trio, monkeypatch
):
    monkeypatch.setattr(verification, "verify", lambda *_, **__: None)
    monkeypatch.setattr(verification, "PATIENCE", 0.01)
    store = Store(trio.parents[1], load_timeout=60)
    with kept_waiting(trio / "model.onnx"):
        with pytest.raises(ArtefactError, match="in which it had a processor for"):
            store.load("trio")
        left = loading_threads()
        with pytest.raises(ArtefactError, match="in which it had a processor for"):
            store.load("trio")
        assert loading_threads() == left
    for thread in left:
        thread.join(60)
    monkeypatch.undo()
    os.utime(trio / "model.onnx", (1, 1))
    assert store.load("trio").version == "1"


def test_what_may_pass_rejects_no_version_that_was_verified(trio, monkeypatch):
    store = Store(trio.parents[1], load_timeout=60)

    def full(*_, **__):
        raise ArtefactError("model.onnx cannot be read: Too many open files")

    with monkeypatch.context() as broken:
        broken.setattr("models.store.read", full)
        with pytest.raises(ArtefactError, match="Too many open files"):
            store.load("trio")
    assert store.load("trio").version == "1"


def test_while_a_version_waits_others_are_loaded(artefacts, monkeypatch):
    shutil.copytree(artefacts / "trio" / "1", artefacts / "trio" / "2")
    manifest = artefacts / "trio" / "2" / "manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"version": "2"}))
    monkeypatch.setattr(verification, "verify", lambda *_, **__: None)
    store = Store(artefacts, load_timeout=60)
    with ThreadPoolExecutor() as pool:
        with kept_waiting(artefacts / "trio" / "2" / "model.onnx") as lease:
            waiting = pool.submit(store.load, "trio", "2")
            assert store.load("trio", "1").version == "1"
            while not lease.keeps_somebody:
                assert not waiting.done()
        assert waiting.result(60).version == "2"


def test_a_version_that_waits_shorter_is_served_at_the_start(artefacts, monkeypatch):
    monkeypatch.setattr(verification, "PROGRESS_S", 0.02)
    store, told = Store(artefacts, load_timeout=60), threading.Event()
    with ThreadPoolExecutor() as pool:
        with kept_waiting(artefacts / "trio" / "1" / "model.onnx") as lease:
            loading = pool.submit(store.first, "trio")
            while " for " not in store.loading:
                assert not loading.done()
                told.wait(0.01)
            assert re.match(r"trio 1 for \d s, 0\.\d of them on a processor", store.loading)
            assert lease.keeps_somebody
        model, rejected = loading.result(60)
    assert (model.version, rejected) == ("1", {})
    assert store.loading == ""


def test_an_artefact_whose_process_gets_no_processor_is_not_rejected(trio, started, monkeypatch):
    monkeypatch.setattr(verification, "PROGRESS_S", 0.1)
    limit_s, begin = 3.0, time.monotonic()

    def report():
        # Stopped by the kernel, as on a machine that has no time for it.
        late = time.monotonic() - begin > limit_s + 0.5
        started[0].send_signal(signal.SIGCONT if late else signal.SIGSTOP)

    verify(trio, limit_s=limit_s, report=report)
    assert time.monotonic() - begin > limit_s
    assert [process.returncode for process in started] == [0]


def test_an_artefact_whose_process_never_gets_a_processor_is_rejected_in_the_end(
    trio, started, monkeypatch
):
    monkeypatch.setattr(verification, "PROGRESS_S", 0.02)
    monkeypatch.setattr(verification, "PATIENCE", 1.2)
    stop = lambda: started[0].send_signal(signal.SIGSTOP)  # noqa: E731
    with pytest.raises(ArtefactError, match=r"within 1 s, in which it had a processor for 0\.\d"):
        verify(trio, limit_s=1, report=stop)


def test_one_process_loads_one_after_the_other_and_is_replaced_when_one_ends_it(
    artefacts, fields, started
):
    endless = put_endless(artefacts, "trio", "2", ENDLESS["loop"])
    good, broken = artefacts / "trio" / "1", write(artefacts, **fields)
    (broken / "report.md").write_text("other")
    with VerifierProcess() as process:
        for _ in range(2):
            assert process.load(good, limit_s=60) == {"provider": "CPU"}
            with pytest.raises(ArtefactError, match="is not the file the manifest was made with"):
                process.load(broken, limit_s=60)
        assert len(started) == 1
        with pytest.raises(ArtefactError, match="not loaded and verified within 1 s"):
            process.load(endless, limit_s=1)
        assert process.load(good, limit_s=60)["provider"] == "CPU"
        started[1].kill()
        with pytest.raises(ArtefactError, match="ends the process, with signal SIGKILL"):
            process.load(good, limit_s=60)
        assert process.load(good, limit_s=60)["provider"] == "CPU"
    assert [each.returncode for each in started] == [-signal.SIGKILL, -signal.SIGKILL, 0]


def test_the_process_ends_when_who_started_it_is_gone(artefacts, tmp_path):
    endless = put_endless(artefacts, "trio", "2", ENDLESS["loop"])
    program = (
        "import os\nfrom pathlib import Path\nimport models.verification as module\n"
        "process = module.VerifierProcess()\n"
        "wait = lambda: (print(process._process.pid, flush=True), os._exit(0))\n"
        "module.PROGRESS_S = 0.1\n"
        f"process.load(Path({str(endless)!r}), limit_s=600, report=wait)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    pid, ended = int(done.stdout), False
    # It is still at its imports, which take a while on a busy machine.
    for _ in range(4_000):
        try:
            ended = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
        except FileNotFoundError:
            ended = True
        if ended:
            break
        time.sleep(0.05)
    assert ended


def test_a_request_of_one_that_is_gone_before_it_is_begun_is_not_begun():
    program = (
        "import time\nfrom models.verifier_process import Requests\nrequests = Requests()\n"
        "while not requests._ended:\n    time.sleep(0.01)\n"
        "print(requests.next())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], input=b"load this\n", capture_output=True, check=True
    )
    assert done.stdout.strip() == b"b''"


@pytest.mark.parametrize("name", ["manifest.json", "model.onnx", "golden.npz", "report.md"])
def test_a_pipe_in_the_place_of_a_file_is_rejected_and_an_older_version_served(artefacts, name):
    folder = shutil.copytree(artefacts / "trio" / "1", artefacts / "trio" / "2")
    (folder / name).unlink()
    os.mkfifo(folder / name)
    model, rejected = Store(artefacts, load_timeout=60).first("trio")
    assert model.version == "1"
    assert f"{name} cannot be read: a pipe, socket or device" in rejected["2"]


def test_a_pin_that_is_a_pipe_keeps_no_server_from_starting(artefacts):
    os.mkfifo(artefacts / "trio" / "current.json")
    assert Store(artefacts, load_timeout=60).first("trio")[0].version == "1"


def test_the_command_rejects_an_endless_version_and_accepts_the_other(
    artefacts, capsys, monkeypatch
):
    put_endless(artefacts, "trio", "2", ENDLESS["loop"])

    def command(limit_s):
        monkeypatch.setattr("models.cli.LIMIT_S", limit_s)
        assert main(["verify", "--artefacts", str(artefacts), "--json"]) == 1
        return capsys.readouterr().out

    limit_s, out = in_time(command, lambda out: '"status": "ok"' in out)
    assert f"trio 2: not loaded and verified within {limit_s} s" in out
