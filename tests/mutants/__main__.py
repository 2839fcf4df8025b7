"""Small wrong changes to the modules that decide, one at a time: do the tests notice?

    tox -e mutants                                   every module of modules.toml, a sample of 60 mutants each
    tox -e mutants -- --all capacity stack           every mutant of the modules of these names
    tox -e mutants -- --sample 100 --seed 7 -j 2     another sample, two modules at a time

A mutant is a comparison turned, a number moved by one, a condition negated, `and` for `or`, `True` for `False`, a sum
for a difference, a loop that never runs: cosmic-ray makes them, in a copy of the checkout, and runs the module's own
tests against each. Golden files take no part: what compares templates_out/ is left out.

Prints a row a module and each survivor as a change; exits with 1 where less than the goal is killed. A survivor that
changes nothing that anybody could see is listed in equal.toml, with the reason, and counts as no mutant at all.
"""

from __future__ import annotations

import argparse
import ast
import compileall
import os
import py_compile
import random
import shutil
import subprocess
import sys
import tempfile
import tomllib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
GOAL = 0.9
TIMEOUT_S = 120.0
GOLDEN = "tests/test_render.py::test_the_committed_templates_are_what_the_default_config_renders"
#: What a hand slips on. cosmic-ray has each comparison and each sum turned into every other: most of that is noise.
#: `|` is in annotations, which nobody evaluates, or a union whose intersection with a dict is an error anyway.
OPERATORS = (
    "NumberReplacer|AddNot|ReplaceAndWithOr|ReplaceOrWithAnd|ReplaceTrueWithFalse|ReplaceFalseWithTrue|ReplaceBreak.*"
    "|ReplaceContinue.*|ZeroIterationForLoop|ReplaceUnaryOperator_Delete_Not"
    "|ReplaceComparisonOperator_(Lt_LtE|LtE_Lt|Gt_GtE|GtE_Gt|Lt_Gt|Gt_Lt|Eq_NotEq|NotEq_Eq|Is_IsNot|IsNot_Is)"
    "|ReplaceBinaryOperator_(Add_Sub|Sub_Add|Mul_FloorDiv|Div_Mul|FloorDiv_Mul|BitAnd_BitOr)"
)


@dataclass(frozen=True)
class Survivor:
    """A mutant that no test noticed: the line as it was and as it would be, without the spaces around them."""

    function: str
    before: str
    after: str


@dataclass(frozen=True)
class Verdict:
    """What became of the mutants of one module."""

    module: str
    mutants: int
    killed: int
    survivors: tuple[Survivor, ...]

    @property
    def share(self) -> float:
        return self.killed / self.mutants if self.mutants else 1.0


def main() -> int:
    options = _options()
    modules = tomllib.loads((HERE / "modules.toml").read_text(encoding="utf-8"))
    equal = tomllib.loads((HERE / "equal.toml").read_text(encoding="utf-8"))
    chosen = {name: tests for name, tests in modules.items() if not options.names or _named(name, options.names)}
    if not chosen:
        print(f"no module of modules.toml is meant by {' '.join(options.names)}", file=sys.stderr)
        return 2
    with ThreadPoolExecutor(options.jobs) as pool:
        verdicts = pool.map(
            lambda item: examine(item[0], item[1], equal.get(item[0], []), options.sample, options.seed),
            chosen.items(),
        )
        missed = [verdict.module for verdict in verdicts if not _told(verdict)]
    return 1 if missed else 0


def examine(module: str, tests: list[str], equal: list[dict[str, str]], sample: int | None, seed: int) -> Verdict:
    """Run the tests of a module against its mutants, or against a sample of them."""
    from cosmic_ray.work_db import WorkDB, use_db
    from cosmic_ray.work_item import WorkerOutcome, WorkResult

    with tempfile.TemporaryDirectory(prefix="mutants-") as scratch:
        copy = Path(scratch) / "checkout"
        _copied(copy)
        # Without the bytecode of the tests, a third of the time goes into compiling them anew.
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        environment["PYTHONPATH"] = str(copy)
        python = (
            f"{sys.executable} -m pytest -x -q -p no:cacheprovider -p no:xdist --hypothesis-profile mutants"
            f" --deselect {GOLDEN}"
        )
        settings, session = copy / "mutants.toml", copy / "mutants.sqlite"
        settings.write_text(
            f'[cosmic-ray]\nmodule-path = "scaleout_cfn/{module}"\ntimeout = {TIMEOUT_S}\nexcluded-modules = []\n'
            f'test-command = "{python} {" ".join(tests)}"\n[cosmic-ray.distributor]\nname = "local"\n'
            f'[cosmic-ray.filters.operators-filter]\nexclude-operators = ["^(?!core/({OPERATORS})$).*"]\n',
            encoding="utf-8",
        )

        def run(*command: str) -> None:
            done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True)
            if done.returncode:
                raise SystemExit(f"{module}: {' '.join(command)}\n{done.stdout[-3000:]}{done.stderr[-3000:]}")

        run(*python.split(), *tests)  # as it is, it has to pass
        cosmic_ray = (sys.executable, "-m", "cosmic_ray.cli")
        run(*cosmic_ray, "init", str(settings), str(session))
        run(sys.executable, "-m", "cosmic_ray.tools.filters.operators_filter", str(session), str(settings))
        types = _annotations((copy / "scaleout_cfn" / module).read_text(encoding="utf-8"))
        with use_db(session, WorkDB.Mode.open) as work:
            pending = sorted(work.pending_work_items, key=lambda item: str(_place(item)))
            worth = [item for item in pending if not any(_within(node, _place(item)[0]) for node in types)]
            chosen = worth if sample is None else random.Random(seed).sample(worth, min(sample, len(worth)))
            tried = {item.job_id for item in chosen}
            for item in pending:
                if item.job_id not in tried:
                    work.set_result(item.job_id, WorkResult(WorkerOutcome.SKIPPED))
        run(*cosmic_ray, "exec", str(settings), str(session))
        with use_db(session, WorkDB.Mode.open) as work:
            functions = {item.job_id: item.mutations[0].definition_name or "" for item in work.work_items}
            ended = [(job, result) for job, result in work.results if result.worker_outcome != WorkerOutcome.SKIPPED]
    known = {(entry["function"], entry["after"]) for entry in equal}
    alive = [_survivor(functions[job], result.diff or "") for job, result in ended if not result.is_killed]
    survivors = tuple(one for one in alive if (one.function, one.after) not in known)
    mutants = len(ended) - (len(alive) - len(survivors))
    return Verdict(module, mutants, mutants - len(survivors), survivors)


def _copied(copy: Path) -> None:
    """The files of the checkout that git knows, compiled so that Python asks a file's content whether it has changed.

    By default it asks the time, to the second, and a mutant as long as the one before would not be seen.
    """
    names = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.split("\n")
    for name in filter(None, names):
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, copy / name)
    checked = py_compile.PycInvalidationMode.CHECKED_HASH
    compileall.compile_dir(copy / "scaleout_cfn", quiet=1, invalidation_mode=checked)


def _place(item: Any) -> tuple[Any, ...]:
    mutation = item.mutations[0]
    return mutation.start_pos, mutation.operator_name, mutation.occurrence


def _annotations(source: str) -> list[ast.expr]:
    """Where `str & None` for `str | None` is the type checker's to notice; a class's fields are msgspec's."""
    tree = list(ast.walk(ast.parse(source)))
    fields = [node for owner in tree if isinstance(owner, ast.ClassDef) for node in owner.body]
    found = [
        annotation
        for node in tree
        if not (isinstance(node, ast.AnnAssign) and node in fields)
        for annotation in (getattr(node, "annotation", None), getattr(node, "returns", None))
    ]
    return [annotation for annotation in found if annotation is not None]


def _within(node: ast.expr, place: tuple[int, int]) -> bool:
    return (node.lineno, node.col_offset) <= place < (node.end_lineno or 0, node.end_col_offset or 0)


def _survivor(function: str, diff: str) -> Survivor:
    lines = [line for line in diff.split("\n") if not line.startswith(("---", "+++"))]
    before = next((line[1:].strip() for line in lines if line.startswith("-")), "")
    after = next((line[1:].strip() for line in lines if line.startswith("+")), "")
    return Survivor(function, before, after)


def _told(verdict: Verdict) -> bool:
    good = verdict.share >= GOAL
    print(
        f"{verdict.share:6.1%}  {verdict.killed:4} of {verdict.mutants:4}  {verdict.module}{'' if good else '  BELOW'}"
    )
    for survivor in verdict.survivors:
        print(f"        {survivor.function}\n          - {survivor.before}\n          + {survivor.after}")
    sys.stdout.flush()
    return good


def _named(module: str, names: list[str]) -> bool:
    return any(module in (name, f"{name}.py") or module.startswith(f"{name}/") for name in names)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tox -e mutants --", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", help="modules or folders, such as capacity or lint/rules; all by default")
    parser.add_argument("--sample", type=int, default=60, help="mutants a module, at most  [default: 60]")
    parser.add_argument("--all", dest="sample", action="store_const", const=None, help="every mutant")
    parser.add_argument("--seed", type=int, default=1, help="of the sample  [default: 1]")
    parser.add_argument("-j", "--jobs", type=int, default=1, help="modules at a time  [default: 1]")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
