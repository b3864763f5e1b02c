"""What the folders' import rules (pyproject.toml, import-linter) cannot say: a module that is run is never imported."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT

FOLDERS = (
    "host",
    "tiles",
    "client",
    "training",
    "studies",
    "proxy",
    "inference_server",
    "launch",
    "benchmarks",
    "workflows",
)


def name_of(path: Path) -> str:
    """The name by which a module is imported: training/stages/__init__.py is training.stages."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {name_of(path): path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))}


def is_runnable(name: str) -> bool:
    """Whether it is named __main__ or has `if __name__ == "__main__"`."""
    tests = [node.test for node in parsed(name).body if isinstance(node, ast.If)]
    return name.endswith("__main__") or any("__name__" in ast.unparse(test) for test in tests)


def parsed(name: str) -> ast.Module:
    return ast.parse(MODULES[name].read_text(encoding="utf-8"))


def imported_by(name: str) -> Iterator[str]:
    """Every module of the product that is named in an import of this one, in a function's body, too."""
    package = name if MODULES[name].name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(parsed(name)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in MODULES)
        if isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) + 1 - node.level] if node.level else []
            source = ".".join([*above, *([node.module] if node.module else [])])
            names = [source, *(f"{source}.{alias.name}" for alias in node.names)]
            yield from (each for each in names if each in MODULES)


RUNNABLE = {name for name in MODULES if is_runnable(name)}


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_module_imports_one_that_is_run(folder: str) -> None:
    importers = [name for name in MODULES if name.split(".")[0] == folder]
    assert importers
    assert [] == [(name, each) for name in importers for each in imported_by(name) if each in RUNNABLE]


def test_the_measure_sees_the_modules_that_are_run_and_what_is_imported() -> None:
    stages = {path.stem for path in (ROOT / "training/stages").glob("*.py")} - {"__init__"}
    assert {f"training.stages.{stage}" for stage in stages} == {n for n in RUNNABLE if n.startswith("training.stages.")}
    assert {"proxy.__main__", "launch.__main__", "training.graphs.trace"} <= RUNNABLE
    assert not {"training.pipeline", "host.files", "training.stages"} & RUNNABLE
    assert {"host.files", "training.errors", "training.packages"} <= {*imported_by("training.stages.check_packages")}


def is_text_without_encoding(call: ast.Call) -> bool:
    """Whether a call reads or writes text in the locale's encoding; ruff's PLW1514 infers few paths."""
    is_method = isinstance(call.func, ast.Attribute)
    name = call.func.attr if is_method else getattr(call.func, "id", "")
    given = {word.arg: word.value for word in call.keywords}
    mode = given.get("mode") or next(iter(call.args[not is_method :]), ast.Constant("r"))
    is_text_mode = isinstance(mode, ast.Constant) and bool(re.fullmatch("[rwaxt+]+", str(mode.value)))
    is_text = (
        (name in {"read_text", "write_text"} and is_method)
        or (name == "open" and is_text_mode)
        or (name.endswith("TemporaryFile") and bool(call.args) and is_text_mode)
        or isinstance(given.get("text"), ast.Constant)
    )
    return is_text and "encoding" not in given


@pytest.mark.parametrize("folder", FOLDERS)
def test_text_is_utf_8_in_every_locale(folder: str) -> None:
    calls = [
        (name, node)
        for name in MODULES
        if name.split(".")[0] == folder
        for node in ast.walk(parsed(name))
        if isinstance(node, ast.Call)
    ]
    assert calls
    assert [] == [f"{name}:{node.lineno}" for name, node in calls if is_text_without_encoding(node)]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("path.read_text()", True),
        ("path.read_text(encoding='utf-8')", False),
        ("DIGEST.write_text('a')", True),
        ("path.open()", True),
        ("path.open('a', newline='')", True),
        ("path.open('rb')", False),
        ("path.open(mode='w')", True),
        ("open(path)", True),
        ("open(path, 'wb')", False),
        ("Image.open(path)", False),
        ("tempfile.NamedTemporaryFile('w')", True),
        ("tempfile.NamedTemporaryFile()", False),
        ("subprocess.run(words, text=True)", True),
        ("subprocess.run(words, text=True, encoding='utf-8')", False),
    ],
)
def test_the_measure_sees_text_that_depends_on_the_locale(line: str, expected: bool) -> None:
    assert expected == is_text_without_encoding(ast.parse(line).body[0].value)
