"""The shape of the project: which way the arrows point, and where each outside library comes in."""

import ast
import re
import resource
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "edge_asr"

LAYERS = (
    # An arrow points to a lower layer, never up.
    {
        "records",
        "context",
        "alarms",
        "errors",
        "audio",
        "clock",
        "systemd",
        "thermal",
        "verify_log",
    },
    {
        "settings",
        "capture_settings",
        "bridge_settings",
        "hands_settings",
        "settings_schema",
        "rules",
        "numerals",
        "word_times",
        "rewriting",
        "config",
        "manifest",
        "bundle",
        "prepared",
        "preparing",
        "mapped",
        "heap",
        "sessions",
        "formats",
        "cues",
        "abandoning",
        "fit",
    },
    {"capture", "store", "recognizers"},
    {
        "listen",
        "alarming",
        "insisting",
        "backlog",
        "stepping",
        "second_pass",
        "partials",
        "conversation",
        "recognize",
        "correcting",
        "recycling",
        "transcribe",
        "speakers",
        "archive",
        "journal",
        "workers",
        "evaluation",
        "serve",
        "bridges",
        "buffering",
        "entries",
        "accounts",
        "mute_switch",
        "hands",
    },
    {"cli"},
)
PEERS_MAY_IMPORT_EACH_OTHER = {0, 1, 3}
"""Stages (capture, store, recognizers) may not: they meet in the loops."""

DOORS = {
    "apsw": {"store/"},
    "click": {"cli/"},
    "jiwer": {"evaluation/scoring.py"},
    "evdev": {"hands/key.py"},
    "gpiod": {"hands/line.py"},
    "cryptography": {"verify_log.py", "store/signing.py"},
    "msgspec": {
        "settings.py",
        "capture_settings.py",
        "bridge_settings.py",
        "hands_settings.py",
        "settings_schema.py",
        "rules.py",
        "config.py",
        "manifest.py",
        "prepared.py",
        "preparing.py",
        "journal.py",
    }
    | {"recognizers/", "cli/", "evaluation/"},
    "paho": {"bridges/broker.py"},
    "numpy": {""},  # sound and tensors are arrays everywhere
    "onnxruntime": {"sessions.py"},
    "pyaudio": {"capture/portaudio_child.py"},
    "rich": {"cli/"},
    "prometheus_client": {"bridges/metrics.py"},
    "python_multipart": {"serve/uploads.py"},
    "sacrebleu": {"evaluation/translation.py"},
    "soundfile": {"audio.py"},
    "soxr": {"capture/resampling.py"},
    "starlette": {"serve/"},
    "text_to_num": {"numerals.py"},
    "tokenizers": {"recognizers/tokenizer.py"},
    "whisper_normalizer": {"evaluation/scoring.py"},
    "uvicorn": {"serve/server.py", "serve/connections.py"},
    "wyoming": {"bridges/wyoming_events.py", "bridges/wyoming_client.py"},
    "yaml": {"config.py"},
}
"""Outside library -> the only files (or folders) that may import it."""

FORBIDDEN = {
    # The workstation's.
    *("torch", "torchaudio", "transformers", "optimum", "onnx", "huggingface_hub", "safetensors"),
    *("export", "ctranslate2", "silero_vad"),
    # Ways to a network.
    *("requests", "httpx", "aiohttp", "urllib3", "http.client", "urllib.request", "ftplib"),
    *("smtplib", "xmlrpc", "telnetlib", "socketserver"),
    # SQLite comes from apsw: the system's may have the WAL-reset race.
    "sqlite3",
    # Code in data.
    *("pickle", "marshal", "shelve"),
}
VAGUE_NAMES = {"utils", "util", "helpers", "helper", "common", "base", "misc", "const", "constants"}
LONGEST_MODULE = 300
CPU_LIMIT_S = 0.3


@dataclass(frozen=True)
class Import:
    file: str
    """Relative to the package: ``capture/vad.py``."""
    line: int
    module: str
    """Absolute, e.g. ``edge_asr.store.rows``."""
    at_run_time: bool
    """False under ``if TYPE_CHECKING``."""
    at_import: bool
    """False inside a function."""

    def __str__(self):
        return f"edge_asr/{self.file}:{self.line} imports {self.module}"


@cache
def parsed():
    return {
        str(path.relative_to(PACKAGE)): ast.parse(path.read_text(encoding="utf-8"))
        for path in sorted(PACKAGE.rglob("*.py"))
    }


def imported_by(file, tree):
    """Yield every import of a file."""
    pending = [(node, True, True) for node in tree.body]
    while pending:
        node, at_run_time, at_import = pending.pop()
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(file, node.lineno, alias.name, at_run_time, at_import)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}:{node.lineno}: imports are absolute"
            for alias in node.names:
                # "from a import b" may import the module a.b: the longer name says more.
                name = f"{node.module}.{alias.name}"
                is_module = name.startswith("edge_asr.") and module_exists(name)
                module = name if is_module or name in FORBIDDEN else node.module
                yield Import(file, node.lineno, module, at_run_time, at_import)
        checks_types = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        in_function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        pending += [
            (child, at_run_time and not checks_types, at_import and not in_function)
            for child in ast.iter_child_nodes(node)
        ]


def module_exists(name):
    path = ROOT / name.replace(".", "/")
    return path.with_suffix(".py").exists() or path.is_dir()


@cache
def imports():
    return [found for file, tree in parsed().items() for found in imported_by(file, tree)]


def part_of(file):
    """Return the top-level part of the package a file belongs to: ``capture``, ``config``."""
    return Path(file).parts[0].removesuffix(".py")


def layer_of(part):
    for number, parts in enumerate(LAYERS):
        if part in parts:
            return number
    raise AssertionError(f"edge_asr/{part} is in no layer; add it to LAYERS in this test")


def test_every_part_of_the_package_has_a_layer():
    for file in parsed():
        if file != "__init__.py":
            layer_of(part_of(file))


def test_arrows_point_one_way():
    wrong = []
    for found in imports():
        if not found.module.startswith("edge_asr.") or found.file == "__init__.py":
            continue
        ours, theirs = part_of(found.file), found.module.split(".")[1]
        if not module_exists(f"edge_asr.{theirs}") or ours == theirs:
            continue
        distance = layer_of(ours) - layer_of(theirs)
        if distance < 0 or (distance == 0 and layer_of(ours) not in PEERS_MAY_IMPORT_EACH_OTHER):
            wrong.append(str(found))
    assert wrong == []


def test_nothing_goes_round_in_circles():
    graph = {}
    for found in imports():
        if found.module.startswith("edge_asr.") and found.at_run_time and found.at_import:
            name = f"edge_asr.{found.file.removesuffix('.py').replace('/', '.')}"
            module = found.module
            while not module_exists(module):
                module = module.rpartition(".")[0]
            graph.setdefault(name.removesuffix(".__init__"), set()).add(module)
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


def test_each_outside_library_has_one_door():
    wrong = []
    for found in imports():
        library = found.module.split(".")[0]
        if library in sys.stdlib_module_names or library == "edge_asr" or library in FORBIDDEN:
            continue
        assert library in DOORS, f"{found}: a library without a door; see DOORS in this test"
        # An annotation needs no door: it loads nothing.
        if found.at_run_time and not found.file.startswith(tuple(DOORS[library])):
            wrong.append(str(found))
    assert wrong == []


def test_every_dependency_has_a_door_and_a_reason():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [name for names in project["optional-dependencies"].values() for name in names]
    wanted = [*project["dependencies"], *extras]
    declared = {re.match(r"[a-z0-9-]+", name)[0] for name in wanted}
    names = {name: name.replace("-", "_") for name in declared} | {
        "pyyaml": "yaml",
        "paho-mqtt": "paho",
        "text2num": "text_to_num",
    }
    assert {names[name] for name in declared} == set(DOORS)
    reasons = (ROOT / "docs/decisions/0003-dependencies.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| ([a-z][a-z0-9-]*)[ ≥0-9.]* \|", reasons, re.MULTILINE)) == declared


def test_what_belongs_to_the_workstation_or_to_a_network_is_imported_nowhere():
    wrong = [
        str(found)
        for found in imports()
        if any(found.module == name or found.module.startswith(f"{name}.") for name in FORBIDDEN)
    ]
    assert wrong == []


def test_only_the_command_line_reads_the_environment():
    wrong = [
        f"edge_asr/{file}:{node.lineno}"
        for file, tree in parsed().items()
        if not file.startswith("cli/") and file != "capture/portaudio_child.py"
        for node in ast.walk(tree)
        if (isinstance(node, ast.Attribute) and node.attr in {"environ", "getenv", "environb"})
        or (isinstance(node, ast.alias) and node.name in {"environ", "getenv", "environb"})
    ]
    assert wrong == []


def python_files(*folders):
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


@pytest.mark.parametrize("folder", ["edge_asr", "export"])
def test_modules_are_short_and_named_after_what_they_do(folder):
    for path in python_files(folder):
        lines = path.read_text(encoding="utf-8").count("\n")
        assert lines <= LONGEST_MODULE, f"{path} has {lines} lines"
        assert path.stem not in VAGUE_NAMES, f"{path}: a name that says nothing"


def test_every_module_says_what_it_is_for():
    silent = [file for file, tree in parsed().items() if tree.body and not ast.get_docstring(tree)]
    assert silent == []


def run_python(code):
    """Run code in a Python of its own, where nothing is imported yet."""
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()


def test_no_module_of_the_package_brings_torch_along():
    modules = [
        "edge_asr." + file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        for file in parsed()
        if not file.endswith("__main__.py") and file != "__init__.py"
    ]
    heavy = {"torch", "transformers", "optimum", "onnx", "huggingface_hub", "ctranslate2"}
    code = (
        "import importlib, sys\n"
        f"for module in {modules!r}: importlib.import_module(module)\n"
        f"print(sorted({heavy!r} & set(sys.modules)))"
    )
    assert run_python(code) == "[]"


def test_the_command_line_imports_neither_numpy_nor_a_runtime():
    code = (
        "import sys, edge_asr.cli\n"
        "print(sorted({'numpy', 'onnxruntime', 'torch', 'apsw', 'rich'} & set(sys.modules)))"
    )
    assert run_python(code) == "[]"


def test_whisper_does_without_the_tokenizers_library():
    code = "import sys, edge_asr.recognizers.whisper\nprint('tokenizers' in sys.modules)"
    assert run_python(code) == "False"


def test_the_command_line_is_imported_within_its_budget():
    def cpu_s():
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        run_python("import edge_asr.cli")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    assert min(cpu_s() for _ in range(3)) <= CPU_LIMIT_S


TEXT_FILES = (
    "*.py",
    "*.sh",
    "*.toml",
    "*.yaml",
    "*.yml",
    "*.md",
    "*.service",
    "*.rules",
    "Makefile",
)
NOT_OURS = {".git", ".venv", "build", "bundles", "dist", "node_modules"}
REGISTRIES = re.compile(r"\b(index-url|extra-index-url|find-links|trusted-host)\b")
"""Options that choose a registry: that is the machine's business."""
MACHINES = re.compile(r"(?<![\w.])/(work|root|home)/\w+/")
"""Paths that exist on one machine only."""


def project_files():
    for pattern in (*TEXT_FILES, ".ci/*"):
        for path in ROOT.rglob(pattern):
            inside = path.relative_to(ROOT)
            if path.is_file() and not NOT_OURS & set(inside.parts):
                yield inside, path.read_text(encoding="utf-8")


def test_no_file_chooses_a_registry_or_names_a_path_of_one_machine():
    wrong = [
        f"{inside}: {found[0]}"
        for inside, text in project_files()
        if inside != Path(__file__).relative_to(ROOT)
        for pattern in (REGISTRIES, MACHINES)
        for found in pattern.finditer(text)
    ]
    assert wrong == []
