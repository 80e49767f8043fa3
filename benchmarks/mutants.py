"""Whether the fast tests notice a change of one word in the code that results come from: a sample of Cosmic Ray's mutants.

    pip install --target TOOLS --no-deps cosmic-ray parso stevedore   # what is in no lock: it only looks at the tests
    PYTHONPATH=src:.:TOOLS python -m benchmarks.mutants --each 8      # adds to its results, and makes the page's table

Each mutant is tested in a process of its own, forked from one that has loaded PyTorch and the like, with the tests that are
nearest to its module. Nothing on disk is changed.
"""

import argparse
import csv
import importlib
import importlib.abc
import importlib.machinery
import os
import random
import re
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from types import CodeType
from typing import Any

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).with_name("results") / "mutants.csv"
PAGE = ROOT / "docs" / "mutants.md"
# What a process loads once; the package itself is loaded anew for each mutant.
LIBRARIES = (
    "torch",
    "torch.fx",
    "torchvision",
    "spikingjelly.activation_based.neuron",
    "sklearn.datasets",
    "sklearn.model_selection",
    "numba",
    "pandas",
    "pydantic",
    "safetensors.torch",
    "hypothesis",
    "pytest",
    "typer.testing",
    "pooch",
    "requests",
    "yaml",
    "rich.progress",
)
# By their time: the first that fails ends it.
TRAINING = ("training/test_training_revision.py", "training/test_training.py")
EVALUATION = (
    "evaluation/test_by_class.py",
    "evaluation/test_settling.py",
    "evaluation/test_calibrate.py",
    "evaluation/test_evaluate.py",
)
MAPPING = ("method/test_mapping.py", "method/test_thresholds.py")
METHOD = (
    *MAPPING,
    "method/test_options.py",
    "network/test_structure.py",
    "method/test_released.py",
    "method/test_coupled_network.py",
    "method/test_spiking_network.py",
    "method/test_pooling.py",
    "method/test_pooled_sums.py",
    "network/test_fuse.py",
    "method/test_events.py",
)
VERDICTS = ("report/test_statistics.py", "report/test_claims.py")
TESTS: dict[str, Sequence[str]] = {
    "training/loop.py": TRAINING,
    "training/step.py": ("training/test_step.py", "training/test_captured.py", *TRAINING),
    "training/captured.py": ("training/test_captured.py",),
    "training/recipe.py": ("training/test_recipe.py",),
    "training/accuracy.py": ("training/test_record.py", *TRAINING),
    "training/checkpoint.py": ("training/test_record.py", *TRAINING),
    "training/layer_record.py": ("training/test_record.py", *TRAINING),
    "training/finite_record.py": TRAINING,
    "evaluation/calibrate.py": EVALUATION,
    "evaluation/evaluate.py": EVALUATION,
    "evaluation/settling.py": EVALUATION,
    "evaluation/census.py": EVALUATION,
    "evaluation/arithmetic.py": ("evaluation/test_evaluate.py", "evaluation/test_operations.py"),
    "method/mapping.py": METHOD,
    "method/thresholds.py": METHOD,
    "method/coupling.py": METHOD,
    "method/spiking.py": METHOD,
    "method/calibration.py": ("method/test_calibrated.py",),
    "report/statistics.py": ("report/test_statistics.py",),
    "report/judging.py": VERDICTS,
    "report/verdicts.py": VERDICTS,
}
SECONDS = 400.0


@dataclass(frozen=True)
class Mutant:
    """A change of one word.

    Attributes:
        module: below src/snn2ann.
        line: where.
        before: the line as it is.
        after: as it is changed.
        outcome: killed, survived or timeout.
    """

    module: str
    line: int
    before: str
    after: str
    outcome: str = ""


def mutants(module: str) -> Iterator[tuple[Mutant, str]]:
    """Give every mutant of a module, with its source; what stands in annotations and the like is left alone."""
    from cosmic_ray.ast import ast_nodes
    from cosmic_ray.mutating import mutate_code
    from cosmic_ray.operators.provider import OperatorProvider
    from parso import parse

    source = (ROOT / "src" / "snn2ann" / module).read_text(encoding="utf-8")
    lines, provider, seen = source.splitlines(), OperatorProvider(), set()
    tree = parse(source)
    for name in sorted(provider):
        if re.search("BitOr|BitAnd|BitXor|Shift|Decorator|NoOp|Variable|Exception|_Is", name):
            continue
        operator: Any = provider[name]()
        count = sum(len(list(operator.mutation_positions(node))) for node in ast_nodes(tree))
        for occurrence in range(count):
            changed = mutate_code(source, operator, occurrence)
            if changed is None or changed in seen:
                continue
            seen.add(changed)
            other = changed.splitlines()
            at = next((at for at, pair in enumerate(zip(lines, other, strict=False)) if pair[0] != pair[1]), None)
            if at is not None and _compiles(changed):
                yield Mutant(module, at + 1, lines[at].strip(), other[at].strip()), changed


def _compiles(source: str) -> bool:
    try:
        compile(source, "mutant", "exec")
    except SyntaxError:
        return False
    return True


class _Loader(importlib.machinery.SourceFileLoader):
    """Loads a module from other source than its file's."""

    def __init__(self, name: str, path: str, source: str) -> None:
        super().__init__(name, path)
        self.source = source

    def get_code(self, fullname: str) -> CodeType:
        """Compile it, whatever is cached."""
        return compile(self.source, self.path, "exec", dont_inherit=True)


class _Finder(importlib.abc.MetaPathFinder):
    """Finds the one module that is changed."""

    def __init__(self, module: str, source: str) -> None:
        self.name = "snn2ann." + module.removesuffix(".py").replace("/", ".")
        self.loader = _Loader(self.name, str(ROOT / "src" / "snn2ann" / module), source)

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        """Find it."""
        if fullname != self.name:
            return None
        return importlib.util.spec_from_file_location(fullname, self.loader.path, loader=self.loader)


def outcome(mutant: Mutant, source: str) -> str:
    """Test a mutant in a forked process."""
    child = os.fork()
    if child == 0:
        os.setpgid(0, 0)
        silent = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silent, 1)
        os.dup2(silent, 2)
        status = 3
        try:
            import pytest

            sys.meta_path.insert(0, _Finder(mutant.module, source))
            options = ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:randomly"]
            status = int(pytest.main([*options, *(str(ROOT / "tests" / name) for name in TESTS[mutant.module])]))
        finally:
            os._exit(status)
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return "survived" if os.waitstatus_to_exitcode(status) == 0 else "killed"
        time.sleep(0.2)
    os.killpg(child, 9)
    os.waitpid(child, 0)
    return "timeout"


def read() -> list[Mutant]:
    """The mutants that have been tested."""
    if not RESULTS.exists():
        return []
    with RESULTS.open(encoding="utf-8") as file:
        return [Mutant(**{**row, "line": int(row["line"])}) for row in csv.DictReader(file)]  # type: ignore[arg-type]


def write(found: Sequence[Mutant]) -> None:
    """Write them down, in the order of modules and lines."""
    with RESULTS.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Mutant)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(each) for each in sorted(found, key=lambda each: (each.module, each.line, each.after)))


def table(found: Sequence[Mutant]) -> str:
    """The score of each module, and what survives, in Markdown."""
    rows = ["| module | mutants | noticed | survive |", "|---|---|---|---|"]
    for module in dict.fromkeys(each.module for each in found):
        here = [each for each in found if each.module == module]
        lost = sum(each.outcome == "survived" for each in here)
        rows.append(f"| `{module}` | {len(here)} | {len(here) - lost} | {lost} |")
    lost = sum(each.outcome == "survived" for each in found)
    share = (len(found) - lost) / len(found) if found else 0
    rows.append(f"| all | {len(found)} | {len(found) - lost} ({share:.0%}) | {lost} |")
    rows += ["", "What survives:", "", "| where | line | changed to |", "|---|---|---|"]
    for each in found:
        if each.outcome == "survived":
            cells = (f"`{text.replace('|', chr(92) + '|')}`" for text in (each.before, each.after))
            rows.append(f"| `{each.module}` {each.line} | {' | '.join(cells)} |")
    return "\n".join(rows)


def fill_page() -> None:
    """Bring the page's table up to date with the results; last, for a mutant's process must load the package itself."""
    from snn2ann.report import blocks

    blocks.fill(PAGE, {"mutants": table(read())})


def main() -> None:
    """Test a sample of each module, and write after each mutant."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--each", type=int, default=8, help="mutants of a module")
    parser.add_argument("--modules", nargs="*", default=list(TESTS), help="below src/snn2ann")
    parser.add_argument("--again", action="store_true", help="test again what survived, and nothing else")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    # What Triton is told when it is loaded.
    importlib.import_module("tests.conftest")
    for name in LIBRARIES:
        importlib.import_module(name)
    importlib.import_module("torch").set_num_threads(1)
    chosen: list[tuple[Mutant, str]] = []
    before = {(each.module, each.before, each.after) for each in read() if each.outcome == "survived"}
    for module in arguments.modules:
        every = sorted(mutants(module), key=lambda pair: (pair[0].line, pair[0].after))
        if arguments.again:
            chosen += [pair for pair in every if (pair[0].module, pair[0].before, pair[0].after) in before]
        else:
            chosen += random.Random(f"{arguments.seed} {module}").sample(every, min(arguments.each, len(every)))
    random.Random(arguments.seed).shuffle(chosen)
    try:
        for mutant, source in chosen:
            tested = Mutant(**asdict(mutant) | {"outcome": outcome(mutant, source)})
            same = (tested.module, tested.before, tested.after)
            write([*(each for each in read() if (each.module, each.before, each.after) != same), tested])
            print(f"{tested.outcome:8} {tested.module}:{tested.line} {tested.after}", flush=True)
        _control({mutant.module for mutant, _ in chosen})
    finally:
        fill_page()


def _control(modules: set[str]) -> None:
    """Where nothing survives, the tests have to pass where nothing is changed, or they noticed something else."""
    passed = {TESTS[each.module] for each in read() if each.outcome == "survived"}
    for module in sorted(modules):
        if TESTS[module] not in passed:
            source = (ROOT / "src" / "snn2ann" / module).read_text(encoding="utf-8")
            if (found := outcome(Mutant(module, 1, "", ""), source)) != "survived":
                sys.exit(f"{module}: its tests end with {found} where nothing is changed")
            passed.add(TESTS[module])


if __name__ == "__main__":
    main()
