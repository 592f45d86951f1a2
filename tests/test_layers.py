"""Who may import whom, read from the sources: the NumPy half stays without MindSpore, nothing happens at import."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from mindvoxel.zoo import model_names

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "mindvoxel"
MODELS = model_names()
SCIENCE = {"numpy", "scipy", "SimpleITK", "pandas"}
GROUND = {"errors", "files", "log"}
READING = GROUND | {"headers", "volume"}
# Part of mindvoxel: (the other parts it may import, the packages beside the standard library).
MAY_IMPORT = {
    "__init__": ({"prediction.predictor"}, set()),  # when it is first asked for
    "errors": (set(), set()),
    "files": ({"errors"}, set()),
    "log": ({"errors"}, {"tqdm"}),
    "headers": (GROUND, SCIENCE),
    "volume": (READING, SCIENCE),
    "rank_table": ({"errors", "files"}, set()),
    "metrics": (READING, SCIENCE),
    "data": (READING, SCIENCE),
    "datasets": (READING | {"data"}, SCIENCE),
    "inference": (READING | {"data", "datasets"}, SCIENCE),
    "bundle": (READING | {"data", "datasets", "inference"}, SCIENCE),
    "config": ({"errors"}, {"easydict"}),
    "zoo": ({"errors", "train.device"}, set()),
    "ops": (GROUND, {"mindspore", "numpy"}),
    "nn": (GROUND | {"ops"}, {"mindspore", "numpy"}),
    "losses": (GROUND | {"ops", "nn"}, {"mindspore"}),
    "train": (
        READING | {"metrics", "data", "inference", "ops", "nn", "losses", "zoo"},
        {"mindspore", "numpy", "easydict", "openvino", "matplotlib"},
    ),
    "prediction": (
        READING | {"data", "inference", "bundle", "config", "nn.exporting", "train", "zoo"},
        {"mindspore", "numpy", "easydict", "openvino"},
    ),
    "cli": (None, {"easydict", "psutil"}),  # every part; the work and its packages are further down
}
NUMPY_HALF = (
    "errors",
    "files",
    "log",
    "headers",
    "volume",
    "rank_table",
    "metrics",
    "data",
    "datasets",
    "inference",
    "bundle",
    "config",
)
SOURCES = [p for p in sorted(PACKAGE.rglob("*.py")) if "build" not in p.relative_to(PACKAGE).parts[:-1]]
MODEL_SOURCES = [p for model in MODELS for p in sorted((ROOT / model).rglob("*.py"))]
ENTRY_POINTS = sorted(ROOT.glob("*.py"))
EVERY_FILE = [*SOURCES, *MODEL_SOURCES, *ENTRY_POINTS]


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imports_of(node: ast.AST) -> set[str]:
    """Dotted names of all modules, and of what is taken from them, that stand anywhere below `node`."""
    found = set()
    for child in ast.walk(node):
        if isinstance(child, ast.Import):
            found |= {alias.name for alias in child.names}
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, f"line {child.lineno}: relative import; name the package"
            found |= {f"{child.module}.{alias.name}" for alias in child.names}
    return found


def at_import(node: ast.AST):
    """What runs when a module is imported: all outside function bodies, defaults and decorators included."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            arguments = child.args
            outer = [*arguments.defaults, *(d for d in arguments.kw_defaults if d is not None)]
            outer += getattr(child, "decorator_list", [])
            for part in outer:
                yield part
                yield from at_import(part)
        else:
            yield child
            yield from at_import(child)


def part_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def others(imports: set[str]) -> set[str]:
    """Packages that are neither of the standard library nor of mindvoxel."""
    return {name.split(".")[0] for name in imports} - set(sys.stdlib_module_names) - {"mindvoxel"}


def test_the_sources_are_found():
    assert len(SOURCES) > 30
    assert {"vnet"} <= set(MODELS)
    assert {"train.py", "eval.py", "export.py", "predict.py"} <= {path.name for path in ENTRY_POINTS}


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_a_part_imports_only_what_it_may(path):
    part = part_of(path)
    assert part in MAY_IMPORT, f"{part} is new: say in MAY_IMPORT what it may import"
    parts, packages = MAY_IMPORT[part]
    imports = imports_of(tree_of(path))
    assert others(imports) <= packages
    if parts is None:
        return
    for name in (name.removeprefix("mindvoxel.") for name in imports if name.startswith("mindvoxel.")):
        allowed = any(f"{name}.".startswith(f"{other}.") for other in parts | {part})
        assert allowed, f"{part} imports mindvoxel.{name}; it may import {', '.join(sorted(parts)) or 'nothing'}"


@pytest.mark.parametrize("path", [p for p in SOURCES if part_of(p) in NUMPY_HALF], ids=name_of)
def test_the_numpy_half_never_imports_mindspore(path):
    """Not even inside a function; and no part that does."""
    for name in imports_of(tree_of(path)):
        assert not name.startswith("mindspore")
        assert not name.startswith(tuple(f"mindvoxel.{part}" for part in ("nn", "losses", "ops", "train", "cli")))


@pytest.mark.parametrize("path", EVERY_FILE, ids=name_of)
def test_nobody_imports_a_model_folder(path):
    """Except the model itself; zoo.py and config.py do it by name, with importlib."""
    own = path.relative_to(ROOT).parts[0]
    imports = imports_of(tree_of(path))
    assert not {name.split(".")[0] for name in imports} & (set(MODELS) - {own})
    if "importlib" in imports:
        assert name_of(path) in {f"src/mindvoxel/{name}" for name in ("zoo.py", "config/__init__.py", "cli/main.py")}


@pytest.mark.parametrize("path", MODEL_SOURCES, ids=name_of)
def test_a_model_imports_cells_or_recipes_or_the_command(path):
    model, *inner = path.relative_to(ROOT).parts
    may = {
        "network.py": ({"mindvoxel.nn", model}, {"mindspore", model}),
        "train.py": ({"mindvoxel.cli"}, set()),
        "eval.py": ({"mindvoxel.cli"}, set()),
        "export.py": ({"mindvoxel.cli"}, set()),
        "predict.py": ({"mindvoxel.cli"}, set()),
    }
    parts, packages = may.get(inner[0], ({"mindvoxel.config", "mindvoxel.errors", model}, {"easydict", model}))
    imports = imports_of(tree_of(path))
    assert others(imports) <= packages
    for name in imports:
        if name.startswith("mindvoxel."):
            assert name.startswith(tuple(f"{part}." for part in parts)), name


@pytest.mark.parametrize("path", ENTRY_POINTS, ids=name_of)
def test_an_entry_point_is_a_few_lines(path):
    assert all(name.startswith("mindvoxel.cli.") for name in imports_of(tree_of(path)))
    assert len(path.read_text(encoding="utf-8").splitlines()) < 15


@pytest.mark.parametrize("path", EVERY_FILE, ids=name_of)
def test_no_tensor_or_parameter_is_made_at_import(path):
    """It would choose the device before the user does."""
    for node in at_import(tree_of(path)):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func).split(".")[-1]
            assert name not in {"Tensor", "Parameter", "ParameterTuple", "initializer", "set_context", "set_device"}


@pytest.mark.parametrize("path", EVERY_FILE, ids=name_of)
def test_nothing_is_unpickled_or_evaluated(path):
    """Checkpoints and data come from strangers."""
    tree = tree_of(path)
    assert not {name.split(".")[0] for name in imports_of(tree)} & {"pickle", "dill", "cloudpickle", "joblib", "shelve"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            assert ast.unparse(node.func) not in {"eval", "exec", "os.system", "pd.read_pickle"}
            for keyword in node.keywords:
                assert (keyword.arg, ast.unparse(keyword.value)) not in {("allow_pickle", "True"), ("shell", "True")}


@pytest.mark.parametrize("path", EVERY_FILE, ids=name_of)
def test_every_module_says_what_it_is_and_stays_short(path):
    text = path.read_text(encoding="utf-8")
    if text.strip():
        assert ast.get_docstring(ast.parse(text))
    assert len(text.splitlines()) <= 300


IMPORT_ALL = """
import sys
from importlib import import_module
from pathlib import Path

package = Path(sys.argv[1])
names = {"mindvoxel", "mindvoxel.train", "mindvoxel.train.device", "mindvoxel.zoo", "mindvoxel.ops"}
for part in sys.argv[2:]:
    if (package / f"{part}.py").is_file():
        names.add(f"mindvoxel.{part}")
    names |= {f"mindvoxel.{part}.{path.stem}" for path in (package / part).glob("[!_]*.py")}
light = sorted(names)
for name in light:
    import_module(name)
    assert "mindspore" not in sys.modules, name
print(len(light))
"""


def test_importing_the_numpy_half_and_the_commands_does_not_import_mindspore():
    """The commands choose the device first; --help and a 310 host need no framework."""
    command = [sys.executable, "-c", IMPORT_ALL, str(PACKAGE), *NUMPY_HALF, "cli"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 20


@pytest.mark.parametrize("model", MODELS)
def test_the_help_of_a_command_does_not_import_mindspore(model):
    code = f"""
import contextlib, importlib, io, sys
for name in ("train", "eval", "export", "predict"):
    module = importlib.import_module("{model}." + name)
    with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()) as text:
        module.main(["--help"], model="{model}")
    assert "usage:" in text.getvalue()
assert "mindspore" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
