"""What would go wrong in a study's jobs, or come of them for nothing, and is known from its parameters alone."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import pairwise
from math import ceil
from typing import Any

from snn2ann.devices import gpu_memory
from snn2ann.errors import UserError
from snn2ann.methods import METHODS
from snn2ann.models import PAPERS
from snn2ann.report.configurations import Configuration, ata_word, matches, setting_words
from snn2ann.specs import training_images
from snn2ann.study import Run, Study
from snn2ann.uses import network_uses

# The pair that a study compares where it does not say otherwise; one without these methods compares nothing.
USUAL = {"headline": "snn2ann", "reference": "stbp"}
# Of more weights, or in larger batches, a network is looked at before the first job: it may not fit into any machine.
MANY_WEIGHTS = 200_000_000
LARGE_BATCH = 10_000


def foresee(study: Study, networks: bool = True) -> None:
    """Refuse a study of which it is known that a job would fail, or that its outcome would be lost.

    Args:
        study: resolved.
        networks: whether to load PyTorch and look at networks as well, all of them; else only those that need it.

    Raises:
        UserError: the key, the value and what is expected.
    """
    if not study.runs:
        raise UserError(f"studies.{study.name}.runs: run is false in every entry; expected one at least that is run")
    _refuse_sides_without_runs(study)
    for run in study.runs:
        _refuse_lost_steps(run)
        _refuse_images_unlike_the_recipes(run)
        _refuse_nothing_left(run.spec["network"], run.spec["dataset"]["shape"], run.dataset)
        _refuse_warmup_without_steps(run)
    if (measured := study.measurement_spec) is not None:
        for network in measured["networks"]:
            _refuse_nothing_left(network, measured["image_shape"], "measurement.image_shape")
    if networks or _needs_a_look(study):
        from snn2ann.training.check import check_networks

        check_networks(study)
    if (memory := gpu_memory()) is not None:
        from snn2ann.evaluation.estimate import estimate, too_large

        if problems := list(too_large(estimate(study.runs), memory)):
            raise UserError("\n".join(problems))


def _refuse_sides_without_runs(study: Study) -> None:
    rows = [row for run in study.runs for row in _rows(run)]
    named = [row for run in study.not_run for row in _rows(run)]
    own = study.parameters["studies"][study.name].get("report", {})
    for side, usual in USUAL.items():
        wanted = study.report[side]
        if wanted is None:
            continue
        there = any(row.method == wanted["method"] for row in [*rows, *named])
        if there or wanted["method"] != usual or side in own:
            _refuse_a_side(_key(study, own, side), wanted, study.name, rows, named)
    for number, aim in enumerate(study.report.get("aims", [])):
        for side in [side for side in ("of", "beside") if side in aim]:
            key = f"{_key(study, own, 'aims')}[{number}].{side}"
            _refuse_a_side(key, aim[side], study.name, rows, named)
            steps, most = aim[side].get("time_steps") or 0, study.parameters["evaluation"]["time_steps"]
            if steps > most:
                raise UserError(
                    f"{key}.time_steps: {steps} is not allowed; expected one that is evaluated, {most} at most, which "
                    "evaluation.time_steps says"
                )


def _key(study: Study, own: Mapping[str, Any], name: str) -> str:
    return f"studies.{study.name}.report.{name}" if name in own else f"report.{name}"


def _refuse_a_side(
    key: str, wanted: Mapping[str, Any], study: str, rows: Sequence[Configuration], named: Sequence[Configuration]
) -> None:
    if any(matches(row, wanted) for row in rows):
        return
    if any(matches(row, wanted) for row in named):
        raise UserError(f"{key}: names a run of study {study} whose run is false; expected one that is run")
    nearest = max(rows, key=lambda row: sum(matches(row, {key: value}) for key, value in wanted.items()))
    like = {name: value for name, value in asdict(nearest).items() if name in wanted or name == "method"}
    raise UserError(
        f"{key}: {_written(wanted)} names no run of study {study}; expected one of its rows, such as "
        f"{_written(like)}, or null; a study's own rows stand under studies.{study}.report"
    )


def _rows(run: Run) -> Iterator[Configuration]:
    """The configurations of a run: as it is trained and, where it is, calibrated."""
    for calibrated in [False] + [True] * (run.calibration_digest is not None):
        ata = ata_word(run.ata, calibrated, run.calibration_digest is not None)
        steps, setting = run.training_time_steps, setting_words(run.changed)
        yield Configuration(run.method, run.variant or "", run.mapping_unit or "", ata, steps, setting)


def _written(wanted: Mapping[str, Any]) -> str:
    return "{" + ", ".join(f"{name}: {value}" for name, value in wanted.items() if value not in (None, "")) + "}"


def _refuse_lost_steps(run: Run) -> None:
    steps, most = run.training_time_steps or 0, run.evaluation_spec["time_steps"]
    if steps > most:
        raise UserError(
            f"evaluation.time_steps: {most} is not allowed; expected {steps} or more, the T that {run.name} is trained "
            "for, whose results would not be shown"
        )


def _refuse_images_unlike_the_recipes(run: Run) -> None:
    key, recipe = _recipe_of(run), run.spec["recipe"]
    channels, height, width = run.spec["dataset"]["shape"]
    of = f"of {run.dataset}"
    chosen = recipe["normalisation"]
    if chosen and len(chosen["mean"]) != channels:
        raise UserError(
            f"{key}.normalisation.mean: {chosen['mean']} is not allowed; expected a number for each channel {of}, {channels}"
        )
    padding = recipe["augmentation"]["crop_padding"]
    if padding >= min(height, width):
        raise UserError(
            f"{key}.augmentation.crop_padding: {padding} is not allowed; expected less than the {min(height, width)} "
            f"pixels of an image {of}, or crops would be empty"
        )


def _refuse_nothing_left(network: Mapping[str, Any], shape: Sequence[int], images: str) -> None:
    _, height, width = shape
    if network["kind"] == "vgg" and min(height, width) >> len(network["pooled_blocks"]) < 1:
        raise UserError(
            f"networks.{network['name']}.pooled_blocks: {network['pooled_blocks']} is not allowed; expected fewer blocks: "
            f"so much pooling leaves nothing of the {height}×{width} pixels of {images}"
        )


def _refuse_warmup_without_steps(run: Run) -> None:
    recipe, schedule = run.spec["recipe"], run.spec["recipe"]["schedule"]
    if schedule["kind"] != "one-cycle" or not any(METHODS[run.method].passes):
        return
    steps = recipe["epochs"] * ceil(training_images(run.spec["dataset"]) / recipe["batch_size"])
    if schedule["warmup"] * steps <= 1:
        raise UserError(
            f"{_recipe_of(run)}.schedule.warmup: {schedule['warmup']} is not allowed; expected more than one of the "
            f"{steps} steps that {run.name} is trained for"
        )


def _recipe_of(run: Run) -> str:
    return f"recipes.{run.recipe}"


def _needs_a_look(study: Study) -> bool:
    """Whether a network may turn out not to be trainable although its parameters are right."""
    return any(
        use.network["kind"] not in PAPERS
        or not 1 < use.batch_size < LARGE_BATCH
        or _weights(use.network) > MANY_WEIGHTS
        for use in network_uses(study)
    )


def _weights(network: Mapping[str, Any]) -> int:
    """About how many weights the convolutions of a network of the paper's kinds have."""
    if network["kind"] == "vgg":
        widths = [width for block in network["blocks"] for width in block]
        return sum(9 * before * after for before, after in pairwise(widths))
    repeated = 2 * network["blocks_per_stage"]
    return sum(9 * width * width * repeated for width in network["channels"])
