"""The rules of the house: who may import whom, what stays light, how large a room may be."""

import ast
import gc
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = ("common", "features", "models", "service", "training", "benchmarks")
MAY_IMPORT = {
    "common": {"common"},
    "features": {"common", "features"},
    "models": {"common", "features", "models"},
    "service": {"common", "features", "models", "service"},
    "training": {"common", "features", "models", "training"},
    "benchmarks": {"common", "features", "models", "service", "training", "benchmarks"},
}
# Rooms and files of a folder, from the ground up, and which of those before it each may import.
ROOMS = {
    "service": {
        "encodings": "",
        "protocol": "encodings",
        "hosts": "",
        "settings": "hosts",
        "log": "",
        "page": "",
        "lifecycle": "log",
        "metrics": "log",
        "tracing": "log",
        "queue": "tracing log",
        "auth": "queue lifecycle log",
        "event_feed": "queue protocol log",
        "archive": "protocol log",
        "inference": "event_feed tracing queue metrics lifecycle protocol settings log",
        "trainings": "inference protocol settings log",
        "open_inference": "inference metrics settings log",
        "label_events": "protocol",
        "exports": "",
        "streaming": "inference encodings label_events tracing metrics protocol settings log",
        "api": "archive exports streaming open_inference trainings inference auth page metrics"
        " protocol tracing lifecycle settings hosts log",
        "api_description": "archive api exports open_inference trainings inference auth page"
        " metrics encodings protocol settings",
        "grpc_api": "api open_inference inference auth tracing hosts settings log",
        "app": "api_description api archive event_feed trainings inference auth metrics lifecycle"
        " settings log",
        "server": "app grpc_api api event_feed inference auth tracing queue metrics lifecycle"
        " settings hosts log",
        "client": "encodings label_events protocol",
        "sources": "protocol",
        "monitor": "archive app server api exports sources client metrics protocol settings hosts"
        " log",
        "cli": "monitor exports server sources client trainings inference auth tracing queue"
        " protocol settings lifecycle log",
        "doctor": "cli server sources client queue protocol settings",
        "rehearsal": "inference settings",
        "prove": "cli sources client grpc_api inference protocol settings",
    },
    "training": {
        "common": "",
        "notes": "common",
        "evaluation": "",
        "recordings": "notes common",
        "sound_models": "evaluation notes common",
        "reporting": "evaluation common",
        "search": "common",
        "pictures/dataset": "common",
        "pictures/collect": "pictures/dataset common",
        "pictures/clean": "pictures/dataset common",
        "pictures/learn": "pictures/dataset reporting evaluation common",
        "pictures/transfer": "pictures/learn pictures/dataset reporting evaluation common",
        "pictures/embeddings": "pictures/transfer pictures/learn pictures/dataset reporting"
        " evaluation common",
        "judge": "pictures/embeddings pictures/transfer pictures/learn pictures/dataset reporting"
        " evaluation common",
        "studies": "sound_models reporting evaluation recordings common",
        "pipelines": (
            "pictures/embeddings pictures/transfer pictures/learn pictures/dataset sound_models "
            "reporting recordings evaluation notes common"
        ),
        "data_cli": "pipelines reporting sound_models recordings pictures/dataset notes common",
        "cli": "common",
    },
}
ONE_FILE_KNOWS = {
    "onnxruntime": {
        *("models/session.py", "models/export/quantize.py"),
        *("benchmarks/forest.py", "benchmarks/peers/fastapi_server.py"),
        *("benchmarks/peers/litserve_server.py", "benchmarks/peers/bentoml_server.py"),
        *("benchmarks/peers/mlserver_model.py", "benchmarks/peers/ray_server.py"),
        "benchmarks/peers/deepaas_model.py",
    },
    "redis": {
        *("service/queue/redis_connection.py", "service/queue/redis_cluster.py"),
        "service/queue/redis_tls.py",
    },
    "opentelemetry": {"service/tracing/otel.py"},
    "sounddevice": {"service/sources/microphone.py"},
}
MAY_WRITE_JSON = {
    "common/strict_json.py": "it is the one place",
    "benchmarks/peers/timed.py": "runs in environments that have no Timbre",
    "benchmarks/peers/process_pool_server.py": "the same",
    "training/search/journal.py": "keeps the NaN of a failed fit, and is read by itself only",
    "training/sound_models/network_cache.py": "keeps the history of a fit, NaN included",
}
HEAVY = (
    "torch", "keras", "sklearn", "librosa", "matplotlib", "onnx", "joblib", "audiomentations",
    "opentelemetry",
)  # fmt: skip
LONG_FILES = {}
LONG_FUNCTIONS = {
    "benchmarks/serving/load.py:_parser": "a line for every argument of one call",
    "training/search/cli.py:_parser": "a line for every argument of one call",
}


def sources():
    return sorted(
        path.relative_to(ROOT) for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")
    )


def imported(tree):
    """Top-level packages that a file imports, wherever in the file."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.split(".")[0]


@pytest.fixture(scope="module")
def trees():
    # Millions of nodes, none of them garbage: looking for some takes several times the parsing.
    gc.disable()
    try:
        return {path: ast.parse((ROOT / path).read_text(encoding="utf-8")) for path in sources()}
    finally:
        gc.freeze()
        gc.enable()


def test_no_folder_imports_another_that_it_may_not(trees):
    wrong = [
        f"{path} imports {name}"
        for path, tree in trees.items()
        for name in set(imported(tree)) & set(FOLDERS)
        if name not in MAY_IMPORT[path.parts[0]]
    ]
    assert wrong == []


def modules_imported(tree):
    """Yield every module that a file imports: a.b and a.b.c for `from a.b import c`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def room_of(folder, module):
    """The room of a module: the longest name of a room that is its prefix; None without one."""
    parts = module.split(".")
    if parts[0] != folder:
        return None
    names = ["/".join(parts[1:end]) for end in range(len(parts), 1, -1)]
    return next((name for name in names if name in ROOMS[folder]), None)


@pytest.mark.parametrize("folder", ROOMS)
def test_no_room_imports_another_that_it_may_not(folder, trees):
    wrong = []
    for path, tree in trees.items():
        own = room_of(folder, ".".join(path.with_suffix("").parts))
        if own is None:
            continue
        may = {own, *ROOMS[folder][own].split()}
        found = {room_of(folder, module) for module in modules_imported(tree)} - {None}
        wrong += [f"{path} imports {room}" for room in found - may]
    assert wrong == []


@pytest.mark.parametrize("folder", ROOMS)
def test_every_file_has_a_room_and_no_arrow_runs_upwards(folder):
    files = [path for path in sources() if path.parts[0] == folder and path.name != "__init__.py"]
    homeless = [p for p in files if room_of(folder, ".".join(p.with_suffix("").parts)) is None]
    assert homeless == []
    order = list(ROOMS[folder])
    for at, room in enumerate(order):
        assert set(ROOMS[folder][room].split()) <= set(order[:at]), room


@pytest.mark.parametrize("package", ONE_FILE_KNOWS)
def test_one_file_knows(package, trees):
    knowing = {str(path) for path, tree in trees.items() if package in imported(tree)}
    assert knowing <= ONE_FILE_KNOWS[package]


def writes_json_leniently(tree):
    """Whether a file calls json.dump or json.dumps, or aiohttp's json_response without `dumps`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "json":
            return True
        if isinstance(node, ast.Attribute) and ast.unparse(node) in ("json.dumps", "json.dump"):
            return True
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "web.json_response":
            return "dumps" not in {keyword.arg for keyword in node.keywords}
    return False


def test_one_place_writes_json_so_that_none_holds_nan(trees):
    found = {str(path) for path, tree in trees.items() if writes_json_leniently(tree)}
    assert found == set(MAY_WRITE_JSON)


def test_no_cancellation_is_lost_in_wait_for():
    """Before Python 3.12 it loses one that comes with its result; asyncio.timeout keeps it."""
    found = [str(path) for path in sources() if "asyncio.wait_for(" in (ROOT / path).read_text()]
    assert found == []


@pytest.mark.parametrize(
    ("source", "lenient"),
    [
        ("json.dumps(1)", True),
        ("web.json_response(1)", True),
        ("f = json.dump", True),
        ("from json import dumps", True),
        ("web.json_response(1, dumps=to_json)", False),
        ("json.loads(text)", False),
    ],
)
def test_the_check_of_json_sees_every_way_to_write_it(source, lenient):
    assert writes_json_leniently(ast.parse(source)) is lenient


def loaded_by(code):
    script = f"import sys\n{code}\nprint(*sys.modules)"
    answer = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return {name.split(".")[0] for name in answer.stdout.split()}


@pytest.mark.parametrize(
    "module", ["service.app", "service.client", "service.cli.listen", "models.store"]
)
def test_nothing_heavy_is_loaded_to_serve_or_to_listen(module):
    assert loaded_by(f"import {module}").isdisjoint(HEAVY)


def test_redis_is_loaded_only_where_it_is_asked_for():
    assert "redis" not in loaded_by("import service.app, service.cli.serve, service.client")


def test_grpc_is_loaded_only_where_it_is_asked_for():
    code = "import service.app, service.cli.serve, service.client, service.server.gateway_process"
    assert loaded_by(code).isdisjoint({"grpc", "google"})


def test_what_serves_holds_no_compiler():
    code = "import service.app\nfrom features.warm import warm\nwarm()"
    assert loaded_by(code).isdisjoint({*HEAVY, "numba", "scipy"})


def test_what_is_installed_to_serve_never_imports_scipy(trees):
    served = {"common", "features", "models", "service"}
    assert [
        str(path)
        for path, tree in trees.items()
        if path.parts[0] in served and "scipy" in imported(tree)
    ] == []


def test_make_lets_python_keep_what_it_compiles():
    rule = "shown:; @echo [$$PYTHONDONTWRITEBYTECODE]"
    variables = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
    shown = subprocess.run(
        ["make", "--no-print-directory", "--eval", rule, "shown"],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        # Within `make` its own variables tell an inner one how to run and what to print.
        env=variables | {"PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert shown.stdout.strip() == "[]"


def test_help_loads_no_arithmetic():
    code = "from service.cli.main import main\ntry: main(['--help'])\nexcept SystemExit: pass"
    assert loaded_by(code).isdisjoint({*HEAVY, "numpy", "scipy", "numba", "onnxruntime", "aiohttp"})


def test_files_and_functions_fit_a_screen_or_say_why(trees):
    long_files = {
        str(path) for path in trees if (ROOT / path).read_text(encoding="utf-8").count("\n") > 400
    }
    long_functions = {
        f"{path}:{node.name}"
        for path, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and lines_of(node) > 40
    }
    assert long_files == set(LONG_FILES)
    assert long_functions == set(LONG_FUNCTIONS)


def lines_of(function):
    """Lines without the docstring."""
    first = function.body[0]
    documented = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    docstring = first.end_lineno - first.lineno + 1 if documented else 0
    return function.end_lineno - function.lineno + 1 - docstring


def test_every_module_has_the_test_file_of_its_path_or_is_named_here(trees):
    bare = {
        str(path)
        for path in trees
        if path.stem != "__init__"
        and path.parts[0] != "benchmarks"
        and not (ROOT / "tests" / path.parent / f"test_{path.name}").exists()
    }
    assert bare == set(COVERED_ELSEWHERE)
    missing = [
        name
        for names in COVERED_ELSEWHERE.values()
        for name in names
        if not (ROOT / "tests" / name).exists()
    ]
    assert missing == []


# What has no test file of its own, and the files below tests/ that test it.
COVERED_ELSEWHERE = {
    "features/kernels/arrays.py": ["features/kernels/test_frames.py"],
    "features/containers/notes.py": ["features/containers/test_mpeg.py"],
    "features/kernels/compiler.py": ["features/kernels/test_loader.py"],
    "features/kernels/layout.py": ["features/kernels/test_frames.py"],
    "features/kernels/mixing.py": ["features/test_mixdown.py"],
    "features/containers/sndfile.py": [
        "features/test_decode.py",
        "features/containers/test_mpeg.py",
    ],
    "features/kernels/simd.py": ["features/kernels/test_frames.py"],
    "features/kernels/transform.py": ["features/kernels/test_frames.py"],
    "features/warm.py": ["test_house.py"],
    "features/kernels/window.py": ["features/kernels/test_frames.py", "features/test_extract.py"],
    "models/export/estimator_nodes.py": ["models/export/test_estimators.py"],
    "models/golden.py": ["models/test_store.py"],
    "models/export/onnx_graph.py": [
        "models/export/test_estimators.py",
        "training/sound_models/test_network.py",
    ],
    "models/export/tree_ensemble.py": ["models/export/test_estimators.py"],
    "models/verifier_process.py": ["models/test_verification.py"],
    "service/api/context.py": ["service/api/test_routes.py"],
    "service/api/request_trace.py": ["service/tracing/test_otel.py"],
    "service/api_description/errors.py": ["service/api_description/test_openapi.py"],
    "service/api_description/model_routes.py": ["service/api_description/test_openapi.py"],
    "service/api_description/operation.py": ["service/api_description/test_openapi.py"],
    "service/api_description/open_inference_routes.py": ["service/api_description/test_openapi.py"],
    "service/api_description/page_routes.py": ["service/api_description/test_openapi.py"],
    "service/api_description/schemas.py": ["service/api_description/test_openapi.py"],
    "service/api_description/training_routes.py": ["service/api_description/test_openapi.py"],
    "service/app.py": ["service/api/test_routes.py"],
    "service/cli/contact_sheet.py": ["service/cli/test_classify.py"],
    "service/cli/worker.py": ["service/server/test_worker.py"],
    "service/client/trust.py": ["service/server/test_tls.py"],
    "service/grpc_api/calls.py": ["service/grpc_api/test_methods.py"],
    "service/grpc_api/schema.py": ["service/grpc_api/test_messages.py"],
    "service/prove/case.py": ["service/prove/test_command.py"],
    "service/prove/open_inference.py": ["service/prove/test_command.py"],
    "service/prove/own_server.py": ["service/prove/test_command.py"],
    "service/prove/prove.py": ["service/prove/test_command.py"],
    "service/prove/ways.py": ["service/prove/test_command.py"],
    "service/queue/base.py": ["service/queue/test_contract.py"],
    "service/queue/redis_cluster.py": ["service/queue/test_redis_connection.py"],
    "service/queue/redis_tls.py": ["service/queue/test_redis_connection.py"],
    "service/queue/redis_keys.py": ["service/queue/test_redis_connection.py"],
    "service/queue/status.py": ["service/queue/test_contract.py"],
    "service/server/gateway_process.py": ["service/cli/test_serve.py"],
    "service/server/worker_traces.py": ["service/tracing/test_otel.py"],
    "service/streaming/window_trace.py": ["service/tracing/test_otel.py"],
    "service/tracing/messaging.py": ["service/tracing/test_otel.py"],
    "service/server/sockets.py": ["service/cli/test_serve.py"],
    "service/streaming/connection.py": ["service/streaming/test_handler.py"],
    "training/common/errors.py": ["training/common/test_disk.py"],
    "training/common/labels.py": ["training/notes/test_library.py"],
    "training/common/model_settings.py": ["training/common/test_recipe.py"],
    "training/data_cli/check.py": ["training/data_cli/test_main.py"],
    "training/data_cli/instruments_table.py": ["training/data_cli/test_main.py"],
    "training/data_cli/split.py": ["training/data_cli/test_main.py"],
    "training/data_cli/table.py": ["training/data_cli/test_main.py"],
    "training/pictures/learn/checkpoints.py": ["training/pipelines/test_picture_networks.py"],
    "training/pipelines/instruments_recipe.py": ["training/common/test_recipe.py"],
    "training/pipelines/sound_model.py": ["training/pipelines/test_instruments.py"],
    "training/recordings/audio.py": ["training/recordings/test_load.py"],
    "training/recordings/problems.py": ["training/data_cli/test_main.py"],
    "training/recordings/recipe_of.py": ["training/data_cli/test_main.py"],
    "training/recordings/safe_pickle.py": ["training/recordings/test_musicnet.py"],
    "training/recordings/print_split.py": ["training/data_cli/test_main.py"],
    "training/recordings/table_of_recipe.py": ["training/data_cli/test_main.py"],
    "training/reporting/markdown.py": ["training/pipelines/test_instruments.py"],
    "training/reporting/sections.py": ["training/reporting/test_folder.py"],
    "training/search/journal.py": ["training/search/test_grid.py"],
    "training/search/kernel.py": ["training/search/test_path.py"],
    "training/search/limits.py": ["training/search/test_path.py"],
    "training/search/results.py": ["training/search/test_path.py", "training/search/test_grid.py"],
    "training/sound_models/network_onnx.py": ["training/sound_models/test_network.py"],
    "training/sound_models/spectrogram_net.py": ["training/sound_models/test_network.py"],
    "training/studies/study.py": [
        "training/studies/test_cli.py",
        "training/studies/test_windows.py",
    ],
}
