"""The public names: what `import scaleout_cfn` promises."""

from __future__ import annotations

import ast
import configparser
import importlib
import inspect
import subprocess
import sys
import types
from pathlib import Path

import pytest

import scaleout_cfn
from scaleout_cfn.values import Value

ROOT = Path(__file__).parent.parent
SOURCE = ast.parse(Path(scaleout_cfn.__file__).read_text(encoding="utf-8"))


def imported_for_type_checkers() -> dict[str, str]:
    """Name to module, of the imports under `if TYPE_CHECKING`."""
    (block,) = (
        node
        for node in SOURCE.body
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
    )
    return {
        alias.asname or alias.name: (statement.module or "").removeprefix("scaleout_cfn.")
        for statement in block.body
        if isinstance(statement, ast.ImportFrom)
        for alias in statement.names
    }


def test_every_list_of_public_names_says_the_same() -> None:
    homes = {name: module for module, names in scaleout_cfn._HOMES.items() for name in names.split()}
    assert homes == imported_for_type_checkers()
    assert sorted(homes) == sorted(scaleout_cfn.__all__)
    assert len(set(scaleout_cfn.__all__)) == len(scaleout_cfn.__all__)
    assert set(scaleout_cfn.__all__) <= set(dir(scaleout_cfn))


@pytest.mark.parametrize("name", scaleout_cfn.__all__)
def test_every_public_name_is_there_and_says_what_it_is_for(name: str) -> None:
    value = getattr(scaleout_cfn, name)
    assert not isinstance(value, types.ModuleType), "a module hides the name"
    home = importlib.import_module(f"scaleout_cfn.{scaleout_cfn._HOME_OF[name]}")
    assert value is getattr(home, name)
    if not (inspect.isclass(value) or inspect.isroutine(value)):
        return
    if inspect.isclass(value) and issubclass(value, Value):
        assert value.meaning.endswith(".")
        return
    assert value.__doc__
    # Neither the one that a dataclass gives itself nor that of a base.
    assert not value.__doc__.startswith(f"{name}(")
    assert all(value.__doc__ != getattr(base, "__doc__", None) for base in getattr(value, "__mro__", ())[1:])


def test_public_names_hide_no_module_and_no_module_hides_them() -> None:
    modules = {path.stem for path in Path(scaleout_cfn.__file__).parent.iterdir() if path.suffix in ("", ".py")}
    assert not modules & set(scaleout_cfn.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'scaleout_cfn' has no attribute 'nonsense'"):
        _ = scaleout_cfn.nonsense


def test_public_functions_are_typed_whole() -> None:
    for name in scaleout_cfn.__all__:
        value = getattr(scaleout_cfn, name)
        if inspect.isfunction(value):
            signature = inspect.signature(value)
            assert signature.return_annotation is not inspect.Signature.empty, name
            for parameter in signature.parameters.values():
                assert parameter.annotation is not inspect.Parameter.empty, f"{name}({parameter.name})"


def test_importing_the_package_imports_nothing_else() -> None:
    script = (
        "import sys; before = set(sys.modules); import scaleout_cfn; from scaleout_cfn import UsageError;"
        "print(*sorted(set(sys.modules) - before))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert not loaded & {"msgspec", "troposphere", "awacs", "yaml", "click", "boto3", "cfnlint"}


def test_the_package_is_typed_for_those_who_use_it() -> None:
    assert (Path(scaleout_cfn.__file__).parent / "py.typed").is_file()


def test_the_example_of_the_docstring_is_right(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert scaleout_cfn.__doc__ is not None
    lines = scaleout_cfn.__doc__.splitlines()
    example = "\n".join(line.removeprefix("    ") for line in lines if line.startswith("    "))
    assert "sc.compose(" in example
    monkeypatch.chdir(tmp_path)
    exec(example, {"Path": Path})
    assert (tmp_path / "templates_out" / "root.yaml").is_file()


def test_a_path_may_be_a_string(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("web.toml").write_text("[services.web.scaling]\nmax_tasks = 12\n", encoding="utf-8")
    config = scaleout_cfn.load("web.toml")
    assert config.services["web"].scaling.max_tasks == 12
    assert scaleout_cfn.write("out", scaleout_cfn.render(scaleout_cfn.compose(config))) == []
    assert scaleout_cfn.lint_files("out").findings == []
    with pytest.raises(scaleout_cfn.UsageError, match=r"^nope\.toml: no such file"):
        scaleout_cfn.load("nope.toml")


def test_every_file_that_the_package_reads_is_in_its_wheel() -> None:
    """An editable installation has them in any case."""
    root = ROOT / "scaleout_cfn"
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    patterns = [pattern.strip() for pattern in setup["options.package_data"]["scaleout_cfn"].split(",")]
    files = [path.relative_to(root) for path in root.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    assert [
        str(path) for path in files if path.suffix != ".py" and not any(path.match(pattern) for pattern in patterns)
    ] == []
