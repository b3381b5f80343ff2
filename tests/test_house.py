"""The rules of the house: who may import whom, what stays light, how large a room may be."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = ("features", "models", "service", "training", "benchmarks")
MAY_IMPORT = {
    "features": {"features"},
    "models": {"features", "models"},
    "service": {"features", "models", "service"},
    "training": {"features", "models", "training"},
    "benchmarks": {"features", "models", "service", "training", "benchmarks"},
}
ONE_FILE_KNOWS = {
    "onnxruntime": {"models/session.py", "models/quantize.py", "benchmarks/forest.py"},
    "redis": {"service/redislink.py"},
    "sounddevice": {"service/microphone.py"},
}
HEAVY = ("torch", "keras", "sklearn", "librosa", "matplotlib", "onnx", "joblib", "audiomentations")
LONG_FILES = {}
LONG_FUNCTIONS = {"models/artefact.py:write": "two lines for every field of the manifest"}


def sources():
    return sorted(path.relative_to(ROOT) for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))


def imported(tree):
    """Top-level packages that a file imports, wherever in the file."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.split(".")[0]


@pytest.fixture(scope="module")
def trees():
    return {path: ast.parse((ROOT / path).read_text(encoding="utf-8")) for path in sources()}


def test_no_folder_imports_another_that_it_may_not(trees):
    wrong = [
        f"{path} imports {name}"
        for path, tree in trees.items()
        for name in set(imported(tree)) & set(FOLDERS)
        if name not in MAY_IMPORT[path.parts[0]]
    ]
    assert wrong == []


@pytest.mark.parametrize("package", ONE_FILE_KNOWS)
def test_one_file_knows(package, trees):
    knowing = {str(path) for path, tree in trees.items() if package in imported(tree)}
    assert knowing <= ONE_FILE_KNOWS[package]


def loaded_by(code):
    script = f"import sys\n{code}\nprint(*sys.modules)"
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    return {name.split(".")[0] for name in answer.stdout.split()}


@pytest.mark.parametrize("module", ["service.app", "service.client", "service.commands.listen", "models.store"])
def test_nothing_heavy_is_loaded_to_serve_or_to_listen(module):
    assert loaded_by(f"import {module}").isdisjoint(HEAVY)


def test_redis_is_loaded_only_where_it_is_asked_for():
    assert "redis" not in loaded_by("import service.app, service.commands.serve, service.client")


def test_what_serves_holds_no_compiler():
    code = "import service.app\nfrom features.warm import warm\nwarm()"
    assert loaded_by(code).isdisjoint({*HEAVY, "numba"})


def test_help_loads_no_arithmetic():
    code = "from service.command import main\ntry: main(['--help'])\nexcept SystemExit: pass"
    assert loaded_by(code).isdisjoint({*HEAVY, "numpy", "scipy", "numba", "onnxruntime", "aiohttp"})


def test_files_and_functions_fit_a_screen_or_say_why(trees):
    long_files = {str(path) for path in trees if (ROOT / path).read_text(encoding="utf-8").count("\n") > 300}
    long_functions = {
        f"{path}:{node.name}"
        for path, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and lines_of(node) > 30
    }
    assert long_files == set(LONG_FILES)
    assert long_functions == set(LONG_FUNCTIONS)


def lines_of(function):
    """Lines without the docstring."""
    first = function.body[0]
    documented = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    docstring = first.end_lineno - first.lineno + 1 if documented else 0
    return function.end_lineno - function.lineno + 1 - docstring


def test_every_module_has_a_test_file_of_its_name_or_is_named_here(trees):
    tested = {path.stem.removeprefix("test_") for path in (ROOT / "tests").rglob("test_*.py")}
    bare = {str(path) for path in trees if path.stem not in {*tested, "__init__"} and path.parts[0] != "benchmarks"}
    assert bare == set(COVERED_ELSEWHERE)


COVERED_ELSEWHERE = {
    "features/arrays.py": "test_kernels",
    "features/containers.py": "test_decode",
    "features/compiled.py": "test_native",
    "features/frames.py": "test_extract, test_streaming",
    "features/layout.py": "test_kernels",
    "features/simd.py": "test_kernels",
    "features/transform.py": "test_kernels",
    "features/window.py": "test_kernels, test_extract",
    "features/warm.py": "what make runs before any test",
    "service/app.py": "test_rest",
    "service/bodies.py": "test_rest",
    "service/catalogue.py": "test_rest",
    "service/channel.py": "test_stream",
    "service/follower.py": "test_takeover",
    "service/jobs.py": "test_queues",
    "service/listener.py": "test_serve",
    "service/log.py": "test_rest",
    "service/lookout.py": "test_takeover",
    "service/problems.py": "test_rest",
    "service/process.py": "test_serve",
    "service/queuestate.py": "test_queues",
    "service/sheet.py": "commands/test_classify",
    "service/supervisor.py": "test_serve",
    "service/teller.py": "test_stream",
    "training/data/bridge.py": "data/test_command",
    "training/data/check.py": "data/test_command",
    "training/data/hear.py": "data/test_command",
    "training/data/make_table.py": "data/test_command",
    "training/data/pickled.py": "test_musicnet",
    "training/data/show_split.py": "data/test_command",
    "training/graph.py": "test_network",
    "training/network_graph.py": "test_network",
    "training/pictures/network_onnx.py": "pictures/test_network",
    "training/report.py": "test_instruments",
    "training/search/cuts.py": "test_path",
    "training/search/journal.py": "test_grid",
    "training/search/kernel.py": "test_path",
    "training/search/results.py": "test_path, test_grid",
    "training/reporting/sections.py": "test_folder",
    "training/studies/study.py": "test_command, test_windows",
    "training/soundfont.py": "test_kinship, test_render",
}
