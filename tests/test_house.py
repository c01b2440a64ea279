"""The house: who imports whom, what is packaged, what is public, and what no file may do."""

import ast
import importlib
import re
import subprocess
import tomllib
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
FACE = "unbraid"
SETUPTOOLS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
PACKAGES: dict[str, str] = SETUPTOOLS["package-dir"]
FOLDERS = [folder for folder in PACKAGES.values() if "/" not in folder and folder != FACE]
SCRIPTS = ["examples", "benchmarks"]
CODE = [*FOLDERS, FACE, *SCRIPTS]
PICKLES = {"pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}


def read_table() -> dict[str, set[str]]:
    """Read from docs/design.md which folders a folder may import."""
    table = {}
    for row in re.findall(r"^\| (`\w+/`.*) \|$", (ROOT / "docs/design.md").read_text(), re.M):
        cells = row.split(" | ")
        words = re.findall(r"\w+", cells[-1])
        allowed = set(FOLDERS) if cells[-1] == "all" else set(words) - {"nothing"}
        for folder in re.findall(r"`(\w+)/`", cells[0]):
            table[folder] = allowed
    return table


TABLE = read_table()


def sources(*folders: str) -> Iterator[Path]:
    for folder in folders:
        yield from sorted((ROOT / folder).rglob("*.py"))


def parse(path: Path) -> list[ast.AST]:
    return list(ast.walk(ast.parse(path.read_text(), str(path))))


def absolute_imports(path: Path) -> Iterator[tuple[str, str | None]]:
    """Yield the module, and the name taken from it, of every absolute import of a file."""
    for node in parse(path):
        if isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield from ((str(node.module), alias.name) for alias in node.names)


def our_imports(path: Path) -> Iterator[tuple[str, str | None]]:
    """Yield the folder, and the name taken from it, of every import of ours; "" is the face."""
    for module, name in absolute_imports(path):
        if module == FACE:
            yield (name, None) if name in FOLDERS else ("", name)
        elif module.startswith(f"{FACE}."):
            yield module.removeprefix(f"{FACE}."), name


def shown(path: Path) -> str:
    return str(path.relative_to(ROOT))


def tracked() -> list[str]:
    """Files of the repository by path, those not ignored where git is there."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]


def test_the_table_names_every_folder():
    assert {*FOLDERS, FACE} <= set(TABLE)
    assert TABLE["guides"] == TABLE["models"] == {"nets", "transforms"}
    assert TABLE["nets"] == TABLE["data"] == set()


@pytest.mark.parametrize("folder", [*FOLDERS, FACE])
def test_folders_import_one_way(folder):
    wrong = [
        f"{shown(path)} imports {other or FACE}"
        for path in sources(folder)
        for other, _ in our_imports(path)
        if other.split(".")[0] not in TABLE[folder]
        and not (folder == FACE and other.split(".")[0] in ("methods", "hooks"))
    ]
    assert not wrong


@pytest.mark.parametrize("folder", CODE)
def test_other_folders_are_used_by_their_public_names(folder):
    wrong = [
        f"{shown(path)} takes {name} from {FACE}.{other}"
        for path in sources(folder)
        for other, name in our_imports(path)
        if name is not None and name not in public(f"{FACE}.{other}".rstrip("."))
    ]
    assert not wrong


def public(module: str) -> list[str]:
    """Names that a package shows; none where it is not one of ours, so deep imports fail."""
    return importlib.import_module(module).__all__ if module in PACKAGES else []


def test_nothing_imports_a_folder_by_its_bare_name():
    """`import models` works in the checkout alone."""
    wrong = [
        f"{shown(path)} imports {module}"
        for path in sources(*CODE, "tests")
        for module, _ in absolute_imports(path)
        if module.split(".")[0] in FOLDERS
    ]
    assert not wrong


def test_relative_imports_stay_in_their_folder():
    wrong = [
        f"{shown(path)}:{node.lineno}"
        for path in sources(*CODE, "tests")
        for node in parse(path)
        if isinstance(node, ast.ImportFrom) and node.level > 1
    ]
    assert not wrong


def test_every_folder_with_code_is_packaged():
    assert sorted(SETUPTOOLS["packages"]) == sorted(PACKAGES)
    found = {shown(path.parent) for path in sources(*FOLDERS, FACE)}
    assert found == set(PACKAGES.values())
    for package, folder in PACKAGES.items():
        assert (ROOT / folder / "__init__.py").is_file()
        assert package == (folder if folder.startswith(FACE) else f"{FACE}/{folder}").replace(
            "/", "."
        )


@pytest.mark.parametrize("folder", FOLDERS)
def test_type_checkers_see_every_root_folder(folder):
    lines = (ROOT / FACE / f"{folder}.pyi").read_text().splitlines()
    assert lines == [
        f"# {folder}/ is installed as {FACE}.{folder}; this line shows it to type checkers.",
        f"from {folder} import *",
    ]


@pytest.mark.parametrize("package", PACKAGES)
def test_the_tests_run_this_checkout(package):
    module = importlib.import_module(package)
    assert Path(str(module.__file__)).resolve() == ROOT / PACKAGES[package] / "__init__.py"


def order(name: str) -> tuple[int, str]:
    """Constants, then classes, then functions, each by name."""
    return (0 if name.isupper() else 1 if name[0].isupper() else 2, name)


@pytest.mark.parametrize("package", PACKAGES)
def test_public_names_are_sorted_and_true(package):
    module = importlib.import_module(package)
    names = module.__all__
    assert names == sorted(names, key=order)
    assert len(set(names)) == len(names)
    for name in names:
        assert hasattr(module, name)
    imported = {
        alias.name
        for node in parse(Path(str(module.__file__)))
        if isinstance(node, ast.ImportFrom) and node.level == 1
        for alias in node.names
    }
    assert imported == {name for name in names if not name.startswith("__")}


def test_every_model_has_its_guide():
    """Files and classes of one name; `__init__.py` too is there twice."""
    assert {path.name for path in sources("models")} == {path.name for path in sources("guides")}
    assert public("unbraid.models") == public("unbraid.guides")


def test_every_test_folder_mirrors_a_folder():
    folders = {path.name for path in (ROOT / "tests").iterdir() if any(path.glob("test_*.py"))}
    assert folders <= {*CODE}


def test_no_file_is_long():
    lengths = {shown(p): len(p.read_text().splitlines()) for p in sources(*CODE, "tests")}
    assert not {name: length for name, length in lengths.items() if length > 500}


def forbidden(node: ast.AST) -> str | None:
    """Say what in a node could run code of a stranger's file."""
    if isinstance(node, ast.Import | ast.ImportFrom):
        modules = {alias.name for alias in node.names} | {getattr(node, "module", None)}
        loads = {str(module).split(".")[0] for module in modules} & PICKLES
        return f"imports {loads.pop()}" if loads else None
    if not isinstance(node, ast.Call):
        return None
    call, keywords = ast.unparse(node.func), {k.arg: ast.unparse(k.value) for k in node.keywords}
    if call in ("eval", "exec", "yaml.load", "yaml.unsafe_load", "pandas.read_pickle"):
        return f"calls {call}"
    if call.endswith("get_param_store().load"):
        return "loads a parameter store"
    if call == "torch.load" and keywords.get("weights_only") != "True":
        return "calls torch.load without weights_only=True"
    if keywords.get("weights_only", "True") != "True":
        return "sets weights_only"
    return "sets allow_pickle" if keywords.get("allow_pickle", "False") != "False" else None


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "from pickle import loads",
        "import joblib.memory",
        "eval(text)",
        "exec(text)",
        "yaml.load(file)",
        "torch.load(file)",
        "torch.load(file, weights_only=False)",
        "np.load(file, allow_pickle=True)",
        "np.load(file, allow_pickle=trusted)",
        "pyro.get_param_store().load(path)",
    ],
)
def test_the_guard_sees_what_runs_code(line):
    assert any(forbidden(node) for node in ast.walk(ast.parse(line)))


def test_the_guard_lets_harmless_calls_pass():
    for line in ("model.eval()", "torch.load(file, weights_only=True)", "np.load(file)"):
        assert not any(forbidden(node) for node in ast.walk(ast.parse(line)))


def test_no_file_runs_code_of_strangers():
    """Tests may: they attack the loaders."""
    wrong = [
        f"{shown(path)}:{getattr(node, 'lineno', 0)} {found}"
        for path in sources(*CODE)
        for node in parse(path)
        if (found := forbidden(node))
    ]
    assert not wrong


def test_no_file_names_a_path_of_one_machine():
    machine = re.compile(rb"(?<![\w.:])/(home|root|Users|work|mnt)/\w")
    wrong = [
        f"{name}: {found.group().decode()}"
        for name in tracked()
        if b"\0" not in (content := (ROOT / name).read_bytes())
        and (found := machine.search(content))
    ]
    assert not wrong


def test_constraints_pin_every_dependency():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    asked = {plain(requirement) for group in groups for requirement in group} - {FACE}
    lines = [
        line
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if not line.startswith("#")
    ]
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in lines)
    assert asked <= {plain(line) for line in lines}
    assert all(plain(a) < plain(b) for a, b in pairwise(lines))
    pinned = {plain(line): line.partition("==")[2] for line in lines}
    for requirement in (Requirement(text) for group in groups for text in group):
        name = plain(requirement.name)
        assert name == FACE or requirement.specifier.contains(pinned[name]), str(requirement)


def test_the_version_is_the_same_everywhere():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert f'__version__ = "{version}"' in (ROOT / "unbraid/__init__.py").read_text()
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text()


def plain(requirement: str) -> str:
    """Name of a requirement, normalised."""
    return re.split(r"[<>=\[]", requirement)[0].lower().replace("_", "-").strip()
