"""The house's rules: which folder may import which, and how large things may grow."""

import ast
import graphlib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1] / "gate"
FILES = sorted(ROOT.rglob("*.py"))
LINES_PER_FILE_MAX = 300
LINES_PER_FUNCTION_MAX = 50

# Who may import whom inside the project; `core` stands on the standard library, jwt and cryptography alone.
ALLOWED = {
    "core": {"core"},
    "store": {"core", "store"},
    "proxy": {"core", "proxy"},
    "web": {"core", "store", "proxy", "web"},
    "admin": {"core", "store", "proxy", "admin"},
    "ticker": {"core", "loop", "store"},
    "keyfile": {"core"},
    "keywatch": {"core", "keyfile", "loop"},
    "operations": {"core", "store", "ticker"},
    "values": {"core"},
    "setting_table": {"values"},
    "fault": set(),
    "verifier_settings": {"core", "fault"},
    "settings": {"core", "fault", "setting_table", "verifier_settings"},
    "telemetry": set(),
    "sockets": set(),
    "loop": set(),
    "parts": {"core", "store", "ticker", "keyfile", "keywatch", "settings"},
    "front": {"core", "loop", "store", "proxy", "web", "parts", "settings", "sockets"},
    "preview": {"core", "web"},
    "canary": {"core", "store", "settings", "sockets"},
    "control": {"core", "loop", "store", "web", "admin", "parts", "operations", "preview", "canary", "settings", "sockets"},
    "app": {"core", "front", "control", "loop", "parts", "settings", "sockets"},
    "worker": {"core", "app", "loop", "parts", "settings", "telemetry"},
    "child": set(),
    "crew": {"child", "core", "worker", "parts", "settings", "sockets"},
    "supervisor": {"admin", "app", "control", "core", "crew", "fault", "loop", "parts", "settings", "sockets", "store"},
    "doctor": {"doctor", "core", "settings", "store"},
    "commands": {"child", "supervisor", "crew", "admin", "doctor", "commands", "core", "fault", "keyfile", "settings", "simulation", "store", "telemetry", "values"},
    "simulation": {"core", "fault", "settings", "setting_table", "simulation", "values"},
    "demo": {"core", "demo"},
    "cli": {"commands", ""},
    "__main__": {"cli"},
    "": set(),
}
FOREIGN = {
    "core": {"jwt", "cryptography"},
    "store": {"redis"},
    "proxy": {"aiohttp", "httptools", "multidict", "yarl"},
    "web": {"aiohttp", "altcha", "brotli", "multidict", "orjson"},
    "admin": {"aiohttp", "orjson", "prometheus_client"},
    "simulation": {"matplotlib"},
}
NEVER_IN_CORE = {"asyncio", "time", "random", "secrets", "socket", "os", "logging", "threading"}


def part_of(path: Path) -> str:
    """The folder or top-level file a module belongs to."""
    relative = path.relative_to(ROOT)
    if len(relative.parts) > 1:
        return relative.parts[0]
    return "" if relative.stem == "__init__" else relative.stem


def imports(path: Path, *, everywhere: bool = True):
    """Every module imported, by absolute name."""
    tree = ast.parse(path.read_text())
    nodes = ast.walk(tree) if everywhere else tree.body
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            if node.module == "gate":
                yield from (f"gate.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_one_way(path):
    """cli, app, {web, admin, ticker}, {store, proxy}, core; and each folder's own few libraries."""
    part = part_of(path)
    for name in imports(path):
        head, _, rest = name.partition(".")
        if head == "gate":
            target = rest.partition(".")[0]
            own = target == part or (target not in ALLOWED and part == "cli")
            assert own or not target or target in ALLOWED[part] or target == "__version__", f"{part} imports {name}"
        elif part in FOREIGN and head not in FOREIGN[part]:
            assert head in __import__("sys").stdlib_module_names, f"{part} imports {name}"
        if part == "core":
            assert head not in NEVER_IN_CORE, f"core imports {name}"


def test_no_import_circle():
    """Modules sort; nobody imports somebody who imports him."""
    graph = {}
    for path in FILES:
        module = "gate." + ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        graph[module] = {
            name for name in imports(path) if name.startswith("gate.") and not name.endswith("__version__")
        }
    tuple(graphlib.TopologicalSorter(graph).static_order())


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_stay_small(path):
    """A file is one noun, a function fits a screen; docstrings are not counted."""
    text = path.read_text()
    assert len(text.splitlines()) <= LINES_PER_FILE_MAX
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            first = node.body[0]
            documented = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
            docstring = first.end_lineno - first.lineno + 1 if documented else 0
            assert node.end_lineno - node.lineno + 1 - docstring <= LINES_PER_FUNCTION_MAX, node.name


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_stand_at_the_top(path):
    """No imports inside functions; the command line loads its verbs by name instead."""
    assert sorted(imports(path)) == sorted(set_of_top(path))


def set_of_top(path):
    """Imports at the top, and those in a top-level `try` for what is not on every platform."""
    tries = [node for node in ast.parse(path.read_text()).body if isinstance(node, ast.Try)]
    inside = [inner for node in tries for inner in ast.walk(node) if isinstance(inner, ast.ImportFrom)]
    return [*imports(path, everywhere=False), *(inner.module for inner in inside)]


def test_only_settings_read_the_environment():
    """Values are handed down; the demo alone sets defaults for its own gate."""
    for path in FILES:
        if "os.environ" in path.read_text() or "getenv" in path.read_text():
            assert part_of(path) == "settings" or path.name == "demo.py", path


def test_pages_have_no_inline_script_or_style():
    """Real files only, as the policy demands."""
    static = ROOT.parent / "static"
    for page in static.glob("*.html"):
        text = page.read_text()
        assert "<style" not in text
        assert " style=" not in text
        assert "<script src=" in text or "<script" not in text
        assert not any(f" on{event}=" in text for event in ("click", "load", "error", "submit"))


def test_every_key_is_built_in_one_place():
    """Scripts are given their keys; nothing but `store/keys.py` knows how they are spelled."""
    for path in [*FILES, *ROOT.rglob("*.lua")]:
        if path.name != "keys.py":
            assert "gate:{" not in path.read_text(), path
