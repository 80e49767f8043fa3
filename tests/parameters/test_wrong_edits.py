"""Wrong edits of params.yaml, each refused before any job by one line that names its key; and right ones that are not."""

import copy
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from snn2ann.errors import UserError
from snn2ann.foresight import foresee
from snn2ann.parameters import load_parameters
from snn2ann.study import resolve
from tests.workflow.project import new_project

ROOT = Path(__file__).parents[2]
FILE = ROOT / "tests/workflow/params.yaml"
PARAMETERS = load_parameters(FILE)
INFINITE, NOT_A_NUMBER = float("inf"), float("nan")
DELETED = object()
HUGE = 10**15


def edited(path: str, value: Any) -> dict[str, Any]:
    """The parameters with one value set, or taken away; parts of the path are parted by /."""
    parameters: Any = copy.deepcopy(PARAMETERS)
    *before, last = [int(part) if part.isdigit() and part != "8" else part for part in path.split("/")]
    place = parameters
    for part in before:
        place = place[part]
    if value is DELETED:
        del place[last]
    else:
        place[last] = value
    return parameters


def refusal(parameters: dict[str, Any]) -> str:
    """What is said of parameters, without PyTorch."""
    with pytest.raises(UserError) as caught:
        foresee(resolve(parameters, parameters["study"]), networks=False)
    message = str(caught.value)
    assert "\n" not in message
    return message


ANN, STBP, CONVERSION, COUPLED = (f"studies/tiny/runs/{index}" for index in range(4))
RESNET = {"kind": "resnet", "channels": [4, 8], "strides": {"8": [1, 2]}, "blocks_per_stage": 1, "dropout": 0}
RESNET |= {"initialisation": "kaiming"}
ONE_CYCLE = {"kind": "one-cycle", "warmup": 0.2}
AIM: dict[str, Any] = {"measure": "accuracy", "of": {"method": "snn2ann"}, "beside": {"method": "stbp"}, "limit": 0}

# Where a value is written, the value, and the key that the message begins with; other words that it has.
EDITS: list[tuple[str, Any, str, str]] = [
    # Names that stand for nothing.
    ("study", "tny", "study", "did you mean 'tiny'"),
    ("sudy", "tiny", "sudy", "did you mean 'study'"),
    ("datasets/digts", {}, "datasets", "did you mean 'digits'"),
    ("datasets/digits/validaton", 0.1, "datasets.digits.validaton", "did you mean 'validation'"),
    ("networks/vgg-tiny/kind", "vg", "networks.vgg-tiny.kind", "did you mean 'vgg'"),
    ("networks/vgg-tiny/poling", "max", "networks.vgg-tiny.poling", "did you mean 'pooling'"),
    ("networks/Large", RESNET, "networks", "lower-case"),
    ("recipes/tiny/optimiser", "adam", "recipes.tiny.optimiser", "did you mean 'optimizer'"),
    ("recipes/tiny/schedule/gama", 1, "recipes.tiny.schedule.gama", "did you mean 'gamma'"),
    ("recipes/tiny/augmentation/flip", True, "recipes.tiny.augmentation.flip", "horizontal_flip"),
    ("methods/stpb", {}, "methods", "did you mean 'stbp'"),
    ("methods/stbp", {"treshold": 1}, "methods.stbp.treshold", "did you mean 'threshold'"),
    ("methods/snn2ann", {"resett": "zero"}, "methods.snn2ann.resett", "did you mean 'reset'"),
    ("methods/ann", {"threshold": 1}, "methods.ann.threshold", "unknown key"),
    ("methods/qcfs", {"level": 8}, "methods.qcfs.level", "did you mean 'levels'"),
    ("calibration/pases", 2, "calibration.pases", "did you mean 'passes'"),
    ("evaluation/timesteps", 2, "evaluation.timesteps", "did you mean 'time_steps'"),
    ("measurement/networks", ["vgg-tny"], "measurement.networks", "did you mean 'vgg-tiny'"),
    ("measurement/methods/1/method", "stb", "measurement.methods[1].method", "did you mean 'stbp'"),
    ("measurement/methods/1/varian", "x", "measurement.methods[1].varian", "did you mean 'variant'"),
    ("inference/round", 1, "inference.round", "did you mean 'rounds'"),
    ("report/headlin", {}, "report.headlin", "did you mean 'headline'"),
    ("report/headline/method", "snn2an", "report.headline.method", "did you mean 'snn2ann'"),
    ("tracking/stor", None, "tracking.stor", "did you mean 'store'"),
    ("studies/tiny/tittle", "x", "studies.tiny.tittle", "did you mean 'title'"),
    ("studies/tiny/datasets", ["digit"], "studies.tiny.datasets", "did you mean 'digits'"),
    ("studies/tiny/networks", ["vgg"], "studies.tiny.networks", "did you mean 'vgg-tiny'"),
    ("studies/tiny/recipe", "tny", "studies.tiny.recipe", "did you mean 'tiny'"),
    ("studies/tiny/dataset_options", {"digts": {}}, "studies.tiny.dataset_options", "did you mean 'digits'"),
    ("studies/tiny/dataset_options", {"digits": {"tst": 0.1}}, "studies.tiny.dataset_options.digits.tst", "test"),
    ("studies/tiny/measurement", {"round": 1}, "studies.tiny.measurement.round", "did you mean 'rounds'"),
    ("studies/tiny/report", {"headlin": {}}, "studies.tiny.report.headlin", "did you mean 'headline'"),
    ("studies/tiny/report", {"headline": {"metod": "ann"}}, "studies.tiny.report.headline.metod", "'method'"),
    ("studies/tiny/report", {"reference": {"method": "stb"}}, "studies.tiny.report.reference.method", "'stbp'"),
    (f"{STBP}/metod", "stbp", "studies.tiny.runs[1].metod", "did you mean 'method'"),
    (f"{STBP}/method", "sbtp", "studies.tiny.runs[1].method", "did you mean 'stbp'"),
    (f"{STBP}/recipe", "tin", "studies.tiny.runs[1].recipe", "did you mean 'tiny'"),
    (f"{STBP}/datasets", ["cifar10"], "studies.tiny.runs[1].datasets", "digits"),
    (f"{STBP}/networks", ["vgg-13"], "studies.tiny.runs[1].networks", "vgg-tiny"),
    (f"{STBP}/seeds", [7], "studies.tiny.runs[1].seeds", "0"),
    (f"{STBP}/options", {"surogate": "atan"}, "studies.tiny.runs[1].options.surogate", "did you mean 'surrogate'"),
    (f"{COUPLED}/variant", "refind", "studies.tiny.runs[3].variant", "did you mean 'refined'"),
    (f"{COUPLED}/variant", "", "studies.tiny.runs[3].variant", "released, refined"),
    (f"{COUPLED}/options", {"membrane": 0}, "studies.tiny.runs[3].options.membrane", "membrane_start"),
    # Ranges of every method's options.
    ("methods/stbp", {"surrogate": "foo"}, "methods.stbp.surrogate", '"atan", "sigmoid", "triangle"'),
    ("methods/stbp", {"threshold": -1}, "methods.stbp.threshold", "above 0"),
    ("methods/stbp", {"threshold": "high"}, "methods.stbp.threshold", "a number"),
    ("methods/stbp", {"surrogate_width": 0}, "methods.stbp.surrogate_width", "above 0"),
    ("methods/stbp", {"detach_reset": 1}, "methods.stbp.detach_reset", "true or false"),
    ("methods/stbp", {"spike_penalty": -0.1}, "methods.stbp.spike_penalty", "from 0"),
    ("methods/checkpointed", {"threshold": 0}, "methods.checkpointed.threshold", "above 0"),
    ("methods/sltt", {"detach_reset": True}, "methods.sltt.detach_reset", "unknown key"),
    ("methods/ottt", {"tau": 1}, "methods.ottt.tau", "above 1"),
    ("methods/ottt", {"surrogate": "box"}, "methods.ottt.surrogate", "one of"),
    ("methods/rate_based", {"spike_penalty": 0}, "methods.rate_based.spike_penalty", "unknown key"),
    ("methods/tandem", {"threshold": True}, "methods.tandem.threshold", "above 0"),
    ("methods/qcfs", {"levels": 0}, "methods.qcfs.levels", "from 1"),
    ("methods/qcfs", {"levels": 2.5}, "methods.qcfs.levels", "an integer"),
    ("methods/qcfs", {"ceiling": 0}, "methods.qcfs.ceiling", "above 0"),
    ("methods/conversion", {"percentile": 101}, "methods.conversion.percentile", "100"),
    ("methods/conversion", {"percentile": 0}, "methods.conversion.percentile", "above 0"),
    ("methods/conversion", {"images": 0}, "methods.conversion.images", "from 1"),
    ("methods/conversion", {"reset": "soft"}, "methods.conversion.reset", '"zero", "subtract"'),
    ("methods/conversion", {"membrane_start": 2}, "methods.conversion.membrane_start", "from 0 to 1"),
    ("methods/snn2ann", {"ata_rate": 2}, "methods.snn2ann.ata_rate", "from 0 to 1"),
    ("methods/snn2ann", {"gradient": "box"}, "methods.snn2ann.gradient", "straight or window"),
    ("methods/snn2ann", {"threshold_start": 1e300}, "methods.snn2ann.threshold_start", "100,000"),
    ("methods/stbp", {"threshold": [1, 2]}, "methods.stbp.threshold", "a number"),
    ("methods/stbp", 3, "methods.stbp", "map"),
    (f"{STBP}/options", {"surrogate": "foo"}, "studies.tiny.runs[1].options.surrogate", "one of"),
    (f"{STBP}/options", {"threshold": [1, -1]}, "studies.tiny.runs[1].options.threshold", "above 0"),
    (f"{STBP}/options", {"threshold": []}, "studies.tiny.runs[1].options.threshold", "at least one"),
    (f"{STBP}/options", 5, "studies.tiny.runs[1].options", "map"),
    (f"{CONVERSION}/options", {"percentile": "most"}, "studies.tiny.runs[2].options.percentile", "a number"),
    (
        f"{COUPLED}/options",
        {"membrane_dropout": 1},
        "studies.tiny.runs[3].options.membrane_dropout",
        "not including, 1",
    ),
    (f"{COUPLED}/mapping_unit", "sts", "studies.tiny.runs[3].mapping_unit", "did you mean 'stsu'"),
    # Lists of a wrong length or with wrong values.
    ("networks/vgg-tiny/dropout", [0], "networks.vgg-tiny.dropout", "one for each block"),
    ("networks/vgg-tiny/dropout", [0, 0, 0], "networks.vgg-tiny.dropout", "2 probabilities"),
    ("networks/vgg-tiny/dropout", [0, 1], "networks.vgg-tiny.dropout[1]", "not including, 1"),
    ("networks/vgg-tiny/dropout", 0, "networks.vgg-tiny.dropout", "one for each block"),
    ("networks/vgg-tiny/blocks", [], "networks.vgg-tiny.blocks", "list for each block"),
    ("networks/vgg-tiny/blocks", [[4], []], "networks.vgg-tiny.blocks[1]", "channels"),
    ("networks/vgg-tiny/blocks", [4, 8], "networks.vgg-tiny.blocks[0]", "channels"),
    ("networks/vgg-tiny/blocks", [[4], [0]], "networks.vgg-tiny.blocks[1][0]", "from 1"),
    ("networks/vgg-tiny/blocks", [[4], [8.0]], "networks.vgg-tiny.blocks[1][0]", "an integer"),
    ("networks/vgg-tiny/pooled_blocks", {"8": [1, 1]}, "networks.vgg-tiny.pooled_blocks.8", "different blocks"),
    ("networks/vgg-tiny/pooled_blocks", {"8": [3]}, "networks.vgg-tiny.pooled_blocks.8", "1 to 2"),
    ("networks/vgg-tiny/pooled_blocks", {"8": [0]}, "networks.vgg-tiny.pooled_blocks.8[0]", "at least 1"),
    ("networks/vgg-tiny/pooled_blocks", {"eight": [1]}, "networks.vgg-tiny.pooled_blocks", "side in pixels"),
    ("networks/vgg-tiny/pooled_blocks", {}, "networks.vgg-tiny.pooled_blocks", "side"),
    ("networks/vgg-tiny/pooled_blocks", [1, 3], "networks.vgg-tiny.pooled_blocks", "1 to 2"),
    ("networks/vgg-tiny/pooled_blocks", 2, "networks.vgg-tiny.pooled_blocks", "a map"),
    (
        "networks/vgg-tiny/pooled_blocks",
        {"8": [1, 2], "2": [1, 2]},
        "networks.vgg-tiny.pooled_blocks.2",
        "leaves nothing",
    ),
    ("networks/vgg-tiny/pooling", "mean", "networks.vgg-tiny.pooling", '"max", "average"'),
    ("networks/vgg-tiny/initialisation", "xavier", "networks.vgg-tiny.initialisation", '"default", "kaiming"'),
    ("networks/vgg-tiny/kind", DELETED, "networks.vgg-tiny.kind", "missing"),
    ("networks/vgg-tiny", RESNET | {"strides": {"8": [1]}}, "networks.vgg-tiny.strides.8", "2 strides"),
    ("networks/vgg-tiny", RESNET | {"strides": {"8": [1, 2, 2]}}, "networks.vgg-tiny.strides.8", "2 strides"),
    ("networks/vgg-tiny", RESNET | {"strides": {"8": [1, 0]}}, "networks.vgg-tiny.strides.8[1]", "from 1"),
    ("networks/vgg-tiny", RESNET | {"channels": []}, "networks.vgg-tiny.channels", "stem"),
    ("networks/vgg-tiny", RESNET | {"blocks_per_stage": 0}, "networks.vgg-tiny.blocks_per_stage", "from 1"),
    ("networks/vgg-tiny", RESNET | {"dropout": [0.1]}, "networks.vgg-tiny.dropout", "probability"),
    ("networks/vgg-tiny", RESNET | {"pooling": "max"}, "networks.vgg-tiny.pooling", "unknown key"),
    ("recipes/tiny/normalisation", {"mean": [0.5]}, "recipes.tiny.normalisation.std", "missing"),
    ("recipes/tiny/normalisation", {"mean": [0.5], "std": [0.5, 1]}, "recipes.tiny.normalisation.std", "one a channel"),
    (
        "recipes/tiny/normalisation",
        {"mean": [0, 0], "std": [1, 1]},
        "recipes.tiny.normalisation.mean",
        "channel of digits",
    ),
    ("recipes/tiny/normalisation", {"mean": [0], "std": [0]}, "recipes.tiny.normalisation.std[0]", "above 0"),
    ("recipes/tiny/normalisation", {"mean": [], "std": []}, "recipes.tiny.normalisation.mean", "mean of each channel"),
    ("measurement/image_shape", [8, 8], "measurement.image_shape", "channels, height and width"),
    ("measurement/image_shape", [1, 8, 0], "measurement.image_shape[2]", "from 1"),
    # Recipes.
    ("recipes/tiny/epochs", 0, "recipes.tiny.epochs", "from 1"),
    ("recipes/tiny/epochs", 1.5, "recipes.tiny.epochs", "an integer"),
    ("recipes/tiny/epochs", "10", "recipes.tiny.epochs", "an integer"),
    ("recipes/tiny/epochs", None, "recipes.tiny.epochs", "an integer"),
    ("recipes/tiny/epochs", True, "recipes.tiny.epochs", "an integer"),
    ("recipes/tiny/epochs", DELETED, "recipes.tiny.epochs", "missing"),
    ("recipes/tiny/batch_size", 0, "recipes.tiny.batch_size", "from 1"),
    ("recipes/tiny/batch_size", -4, "recipes.tiny.batch_size", "from 1"),
    ("recipes/tiny/optimizer", "adma", "recipes.tiny.optimizer", "did you mean 'adam'"),
    ("recipes/tiny/optimizer", ["adam"], "recipes.tiny.optimizer", '"adam"'),
    ("recipes/tiny/learning_rate", 0, "recipes.tiny.learning_rate", "above 0"),
    ("recipes/tiny/learning_rate", "fast", "recipes.tiny.learning_rate", "a number"),
    ("recipes/tiny/learning_rate", INFINITE, "recipes.tiny.learning_rate", "a number"),
    ("recipes/tiny/learning_rate", NOT_A_NUMBER, "recipes.tiny.learning_rate", "a number"),
    ("recipes/tiny/learning_rate", 1e30, "recipes.tiny.learning_rate", "up to 1,000"),
    ("recipes/tiny/weight_decay", -1e-4, "recipes.tiny.weight_decay", "from 0"),
    ("recipes/tiny/label_smoothing", 1, "recipes.tiny.label_smoothing", "not including, 1"),
    ("recipes/tiny/precision", "fp16", "recipes.tiny.precision", '"fp32", "tf32", "bf16"'),
    ("recipes/tiny/schedule", ONE_CYCLE | {"warmup": 0}, "recipes.tiny.schedule.warmup", "between 0 and 1"),
    ("recipes/tiny/schedule", ONE_CYCLE | {"warmup": 1}, "recipes.tiny.schedule.warmup", "between 0 and 1"),
    (
        "recipes/tiny/schedule",
        ONE_CYCLE | {"warmup": 0.25},
        "recipes.tiny.schedule.warmup",
        "more than one of the 4 steps",
    ),
    ("recipes/tiny/schedule", {"kind": "cosine"}, "recipes.tiny.schedule.kind", '"one-cycle", "multi-step"'),
    ("recipes/tiny/schedule", {"warmup": 0.2}, "recipes.tiny.schedule.kind", "missing"),
    ("recipes/tiny/schedule", {"kind": "one-cycle"}, "recipes.tiny.schedule.warmup", "missing"),
    ("recipes/tiny/schedule", "one-cycle", "recipes.tiny.schedule", "how the learning rate changes"),
    ("recipes/tiny/schedule/milestones", [2], "recipes.tiny.schedule.milestones", "never reached"),
    ("recipes/tiny/schedule/milestones", [1, 1], "recipes.tiny.schedule.milestones", "none of them twice"),
    ("recipes/tiny/schedule/milestones", [], "recipes.tiny.schedule.milestones", "at least 1"),
    ("recipes/tiny/schedule/milestones", 1, "recipes.tiny.schedule.milestones", "epochs after which"),
    ("recipes/tiny/schedule/gamma", 0, "recipes.tiny.schedule.gamma", "above 0"),
    ("recipes/tiny/augmentation/crop_padding", -1, "recipes.tiny.augmentation.crop_padding", "from 0"),
    ("recipes/tiny/augmentation/crop_padding", 8, "recipes.tiny.augmentation.crop_padding", "less than the 8 pixels"),
    ("recipes/tiny/augmentation/horizontal_flip", "yes", "recipes.tiny.augmentation.horizontal_flip", "true or false"),
    ("recipes/tiny/augmentation", None, "recipes.tiny.augmentation", "training images"),
    # Data sets.
    ("datasets/digits/validation", 0, "datasets.digits.validation", "between 0 and 1"),
    ("datasets/digits/validation", 1, "datasets.digits.validation", "between 0 and 1"),
    ("datasets/digits/validation", 0.9, "datasets.digits.validation", "below 1"),
    ("datasets/digits/test", -0.2, "datasets.digits.test", "between 0 and 1"),
    ("datasets/digits/split_seed", -1, "datasets.digits.split_seed", "from 0"),
    ("datasets/digits/split_seed", 2**64, "datasets.digits.split_seed", "an integer"),
    ("datasets/digits/train_images", 5, "datasets.digits.train_images", "at least 10"),
    ("datasets/digits/train_images", "all", "datasets.digits.train_images", "an integer"),
    ("datasets/digits/local", 3, "datasets.digits.local", "file or folder"),
    ("datasets/digits/mirrors", "http://x/", "datasets.digits.mirrors", "URLs"),
    ("datasets/digits/mirrors", ["ftp://x/"], "datasets.digits.mirrors[0]", "http"),
    ("datasets/digits", None, "datasets.digits", "map"),
    ("datasets", {}, "datasets", "map"),
    # What no machine can hold, and what is not finite.
    ("recipes/tiny/batch_size", HUGE, "recipes.tiny.batch_size", "1,048,576"),
    ("recipes/tiny/epochs", HUGE, "recipes.tiny.epochs", "1,000,000"),
    ("evaluation/batch_size", HUGE, "evaluation.batch_size", "1,048,576"),
    ("evaluation/time_steps", HUGE, "evaluation.time_steps", "4,096"),
    ("measurement/batch_size", HUGE, "measurement.batch_size", "1,048,576"),
    ("measurement/image_shape", [1, HUGE, 8], "measurement.image_shape[1]", "65,536"),
    ("inference/batch_size", HUGE, "inference.batch_size", "1,048,576"),
    ("networks/vgg-tiny/blocks", [[4], [HUGE]], "networks.vgg-tiny.blocks[1][0]", "65,536"),
    ("networks/vgg-tiny", RESNET | {"blocks_per_stage": HUGE}, "networks.vgg-tiny.blocks_per_stage", "500"),
    (f"{STBP}/time_steps", HUGE, "studies.tiny.runs[1].time_steps", "4,096"),
    ("studies/tiny/seeds", [2**63], "studies.tiny.seeds[0]", "from 0"),
    ("studies/tiny/seeds", [2**44], "studies.tiny.seeds[0]", "from 0"),
    ("calibration/step", INFINITE, "calibration.step", "a number"),
    ("calibration/target", NOT_A_NUMBER, "calibration.target", "a number"),
    ("methods/stbp", {"threshold": INFINITE}, "methods.stbp.threshold", "finite"),
    ("methods/snn2ann", {"ata_step": INFINITE}, "methods.snn2ann.ata_step", "finite"),
    ("report/accuracy_margin", INFINITE, "report.accuracy_margin", "100"),
    ("networks/mine", {"kind": "module", "path": "a:b", "width": INFINITE}, "networks.mine.width", "finite"),
    # Calibration, evaluation, what is measured.
    ("calibration/time_steps", 0, "calibration.time_steps", "from 1"),
    ("calibration/target", 1.5, "calibration.target", "from 0 to 1"),
    ("calibration/step", 0, "calibration.step", "above 0"),
    ("calibration/images", 0, "calibration.images", "from 1"),
    ("calibration", None, "calibration", "thresholds"),
    ("evaluation/time_steps", 1, "evaluation.time_steps", "2 or more, the T"),
    ("measurement/networks", [], "measurement.networks", "a list of networks"),
    ("measurement/networks", ["vgg-tiny", "vgg-tiny"], "measurement.networks", "twice"),
    ("measurement/methods", [], "measurement.methods", "a list of methods"),
    ("measurement/methods/0/method", "conversion", "measurement.methods[0].method", "is trained"),
    ("measurement/methods/0/time_steps", [5], "measurement.methods[0].time_steps", "without T"),
    ("measurement/methods/0/method", "stbp", "measurement.methods[1]", "stand before it"),
    ("measurement/methods/1/options", {"threshold": [1, 2]}, "measurement.methods[1].options", "one value"),
    ("measurement/methods/1/options", {"threshold": 0}, "measurement.methods[1].options.threshold", "above 0"),
    ("measurement/methods/1/mapping_unit", "resu", "measurement.methods[1].mapping_unit", "has none"),
    ("measurement/time_steps", [2, 2], "measurement.time_steps", "none of them twice"),
    ("measurement/time_steps", 2, "measurement.time_steps", "a list of T"),
    ("measurement/warmup", -1, "measurement.warmup", "from 0"),
    ("measurement/precision", "fp64", "measurement.precision", '"fp32", "tf32", "bf16"'),
    ("measurement", DELETED, "measurement", "missing"),
    ("inference/time_steps", [], "inference.time_steps", "a list of T"),
    ("inference/time_steps", [0], "inference.time_steps[0]", "from 1"),
    ("inference/rounds", 0, "inference.rounds", "from 1"),
    ("tracking/store", "htp://localhost", "tracking.store", "URI"),
    ("tracking/store", "", "tracking.store", "URI"),
    ("tracking/store", 5000, "tracking.store", "URI"),
    ("tracking/live", "no", "tracking.live", "true or false"),
    ("tracking/models", "some", "tracking.models", '"none", "headline", "all"'),
    # What is compared.
    (
        "report/headline/training_time_steps",
        5,
        "report.headline",
        "names no run of study tiny; expected one of its rows",
    ),
    ("report/headline/mapping_unit", "resu", "report.headline", "mapping_unit: stsu"),
    ("report/headline/variant", "refined", "report.headline", "variant: released"),
    ("report/headline/ata", "none", "report.headline", "ata: training"),
    ("report/headline/ata", "trainig", "report.headline.ata", "did you mean 'training'"),
    ("report/headline", {"method": "tandem", "training_time_steps": 2}, "report.headline", "names no run"),
    ("report/headline", {"method": "snn2ann"}, "report.headline.training_time_steps", "missing"),
    ("report/headline", "snn2ann", "report.headline", "a map"),
    ("report/reference/training_time_steps", 8, "report.reference", "training_time_steps: 2"),
    ("report/reference/setting", "tau=2", "report.reference", "names no run"),
    ("report/reference/training_time_steps", 0, "report.reference.training_time_steps", "from 1"),
    ("report/accuracy_margin", -1, "report.accuracy_margin", "from 0 to 100"),
    ("report/accuracy_margin", "1 %", "report.accuracy_margin", "a number"),
    ("studies/tiny/report", {"accuracy_margin": 200}, "studies.tiny.report.accuracy_margin", "100"),
    ("studies/tiny/report", {"headline": 3}, "studies.tiny.report.headline", "a map"),
    ("studies/tiny/report", {"headline": {"training_time_steps": 9}}, "studies.tiny.report.headline", "names no run"),
    ("studies/tiny/report", [], "studies.tiny.report", "report section"),
    ("studies/tiny/report", {"reference": {"method": "sltt"}}, "studies.tiny.report.reference", "names no run"),
    ("report/aims", [AIM | {"measure": "time"}], "report.aims[0].measure", '"accuracy", "spikes"'),
    ("report/aims", [AIM | {"of": {"method": "stpb"}}], "report.aims[0].of.method", "did you mean 'stbp'"),
    ("report/aims", [AIM, AIM | {"of": {"method": "sltt"}}], "report.aims[1].of", "names no run"),
    (
        "report/aims",
        [AIM | {"beside": {"method": "stbp", "training_time_steps": 9}}],
        "report.aims[0].beside",
        "no run",
    ),
    (
        "report/aims",
        [AIM | {"beside": {"method": "stbp", "time_steps": 99}}],
        "report.aims[0].beside.time_steps",
        "most",
    ),
    ("report/aims", [AIM | {"measure": "noise"}], "report.aims[0].beside", "none with noise"),
    (
        "report/aims",
        [{"measure": "accuracy", "of": {"method": "ann"}, "limit": 0}],
        "report.aims[0]",
        "beside as well",
    ),
    ("report/aims", [AIM | {"limit": "0"}], "report.aims[0].limit", "a number"),
    ("studies/tiny/report", {"aims": [AIM | {"of": {}}]}, "studies.tiny.report.aims[0].of.method", "missing"),
    # Entries.
    (f"{ANN}/run", False, "studies.tiny.runs[2].method", "studies.tiny.runs[0].run is false"),
    (f"{ANN}", {"method": "snn2ann", "time_steps": 3}, "studies.tiny.runs[2].method", "add {method: ann}"),
    (f"{ANN}/time_steps", 2, "studies.tiny.runs[0].time_steps", "trained without time steps"),
    (f"{ANN}/variant", "released", "studies.tiny.runs[0].variant", "has none"),
    (f"{ANN}/calibrate", True, "studies.tiny.runs[0].calibrate", "snn2ann, conversion"),
    (f"{ANN}/run", "no", "studies.tiny.runs[0].run", "false"),
    (f"{ANN}/method", DELETED, "studies.tiny.runs[0].method", "missing"),
    (f"{ANN}", "ann", "studies.tiny.runs[0]", "a map: a method"),
    (f"{STBP}/time_steps", DELETED, "studies.tiny.runs[1].time_steps", "missing"),
    (f"{STBP}/time_steps", [], "studies.tiny.runs[1].time_steps", "T in training"),
    (f"{STBP}/time_steps", [2, 2], "studies.tiny.runs[1].time_steps", "T in training"),
    (f"{STBP}/time_steps", "2", "studies.tiny.runs[1].time_steps", "an integer"),
    (f"{STBP}/time_steps", 2.0, "studies.tiny.runs[1].time_steps", "an integer"),
    (f"{STBP}/time_steps", {"a": 1}, "studies.tiny.runs[1].time_steps", "T in training"),
    (f"{STBP}/ata", True, "studies.tiny.runs[1].ata", "has none"),
    (f"{STBP}/seeds", [], "studies.tiny.runs[1].seeds", "seeds"),
    (f"{COUPLED}/ata", "yes", "studies.tiny.runs[3].ata", "true, false"),
    (f"{COUPLED}/options", {"mapping_unit": "resu"}, "studies.tiny.runs[3].mapping_unit", "stands twice"),
    (f"{COUPLED}/variant", [], "studies.tiny.runs[3].variant", "a variant"),
    ("studies/tiny/runs", [], "studies.tiny.runs", "at least one entry"),
    ("studies/tiny/runs", {"method": "ann"}, "studies.tiny.runs", "a list"),
    ("studies/tiny/seeds", [], "studies.tiny.seeds", "different integers"),
    ("studies/tiny/seeds", [0, 0], "studies.tiny.seeds", "none of them twice"),
    ("studies/tiny/seeds", [-1], "studies.tiny.seeds[0]", "from 0"),
    ("studies/tiny/seeds", 3, "studies.tiny.seeds", "a list"),
    ("studies/tiny/seeds", ["0"], "studies.tiny.seeds[0]", "an integer"),
    ("studies/tiny/title", 5, "studies.tiny.title", "title"),
    ("studies/tiny/title", "", "studies.tiny.title", "title"),
    ("studies/tiny/networks", "vgg-tiny", "studies.tiny.networks", "a list of networks"),
    ("studies/tiny/networks", ["vgg-tiny", "vgg-tiny"], "studies.tiny.networks", "twice"),
    ("studies/tiny/runs", DELETED, "studies.tiny.runs", "missing"),
    ("studies", [], "studies", "map"),
    ("studies/tiny/runs", [{"method": "ann", "run": False}], "studies.tiny.runs", "one at least that is run"),
    ("studies/tiny/measurement", {"networks": ["vgg"]}, "studies.tiny.measurement.networks", "did you mean 'vgg-tiny'"),
    ("studies/tiny/measurement", {"methods": [{"method": "x"}]}, "studies.tiny.measurement.methods[0].method", "stbp"),
    # Another study or recipe than the one that is made.
    ("studies/other", {"inherit": "tny"}, "studies.other.inherit", "did you mean 'tiny'"),
    ("studies/other", {"inherit": "other"}, "studies.other.inherit", "inherits from itself"),
    ("studies/other", {"inherit": "tiny", "more_runs": []}, "studies.other.more_runs", "at least one"),
    ("studies/other", {"inherit": "tiny", "more_runs": [{"method": "x"}]}, "studies.other.more_runs[0].method", "'x'"),
    ("studies/other", {"inherit": "tiny", "runs": [], "more_runs": [{}]}, "studies.other.more_runs", "one of the two"),
    ("studies/other", {"inherit": "tiny", "recipe": "x"}, "studies.other.recipe", "tiny"),
    ("studies/other", {"inherit": "tiny", "networks": ["x"]}, "studies.other.networks", "vgg-tiny"),
    ("studies/other", {"inherit": 3}, "studies.other.inherit", "tiny"),
    ("studies/tiny/more_runs", [{"method": "ann"}], "studies.tiny.more_runs", "inherits"),
    ("recipes/other", {"inherit": "tiny", "epoch": 3}, "recipes.other.epoch", "did you mean 'epochs'"),
    ("recipes/other", {"inherit": "tiny", "schedule": {"warmup": 0.1}}, "recipes.other.schedule.warmup", "unknown key"),
    ("recipes/other", {"inherit": "tin"}, "recipes.other.inherit", "did you mean 'tiny'"),
    ("recipes/tiny/inherit", "tiny", "recipes.tiny.inherit", "inherits from itself"),
    # Values that YAML reads as something else.
    ("studies/tiny/title", yaml.safe_load("2024-01-01"), "studies.tiny.title", "title"),
    (
        "networks/mine",
        {"kind": "module", "path": "a:b", "day": yaml.safe_load("2024-01-01")},
        "networks.mine.day",
        "quotes",
    ),
    ("recipes", None, "recipes", "map"),
]


@pytest.mark.parametrize(
    ("path", "value", "key", "words"),
    EDITS,
    ids=[f"{edit[0]}={'nothing' if edit[1] is DELETED else edit[1]}"[:60] for edit in EDITS],
)
def test_a_wrong_edit_is_refused_by_its_key(path: str, value: Any, key: str, words: str) -> None:
    message = refusal(edited(path, value)).removeprefix("params.yaml: ")
    assert message.startswith((f"{key}:", f"{key} and ")), message
    assert words in message, message


@pytest.mark.parametrize("key", [key for key in PARAMETERS if key != "inference"])
def test_a_missing_section_is_named(key: str) -> None:
    parameters = edited(key, DELETED)
    with pytest.raises(UserError, match=f"{key}: missing"):
        resolve(parameters, "tiny")


STRANGE: list[Any] = [
    None,
    -1,
    0,
    "x",
    "",
    "3",
    [],
    {},
    True,
    INFINITE,
    NOT_A_NUMBER,
    1e30,
    10**30,
    [[]],
    [None],
    [0, 0],
]
STRANGE += [{"a": 1}, {"a": {"b": 1}}, {"inherit": "x"}, {"kind": "vgg"}, {"kind": [1]}, b"x", "ä" * 300, 0.5, 3, [3]]


def places(value: Any, path: str = "") -> Iterator[str]:
    """The path of every value within a value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield f"{path}{key}"
        yield from places(inner, f"{path}{key}/")


@pytest.mark.parametrize("value", STRANGE, ids=[str(value)[:20] for value in STRANGE])
def test_no_value_at_any_place_ends_in_anything_but_a_study_or_a_refusal(value: Any) -> None:
    refused = 0
    for path in places(PARAMETERS):
        parameters = edited(path, value)
        try:
            foresee(resolve(parameters, "tiny"), networks=False)
        except UserError as error:
            assert ": " in str(error) and len(str(error)) < 1000
            refused += 1
    assert refused > 50


def test_there_are_many_of_them() -> None:
    assert len(EDITS) > 150 and len({(path, str(value)) for path, value, *_ in EDITS}) == len(EDITS)


RIGHT: list[tuple[str, Any]] = [
    ("recipes/tiny/normalisation", {"mean": [0.5], "std": [1]}),
    ("recipes/tiny/schedule", {"kind": "one-cycle", "warmup": 0.5}),
    ("recipes/tiny/learning_rate", 1),
    ("methods/stbp", {"threshold": 2, "surrogate": "triangle"}),
    ("methods/conversion", {"percentile": 99}),
    ("datasets/digits/train_images", None),
    ("networks/vgg-tiny", RESNET),
    ("networks/vgg-tiny/pooled_blocks", {"8": []}),
    ("networks/vgg-tiny/pooled_blocks", [1, 2]),
    ("networks/vgg-tiny", RESNET | {"strides": [1, 2]}),
    ("measurement", None),
    ("inference", None),
    ("report/headline", None),
    ("report/reference", None),
    ("report/headline/ata", "training+calibration"),
    ("studies/tiny/report", {"headline": {"ata": "training+calibration"}, "accuracy_margin": 2}),
    ("report/aims", [AIM, {"measure": "noise", "of": {"method": "snn2ann", "time_steps": 1}, "limit": 0.02}]),
    ("studies/tiny/runs", [{"method": "ann"}, {"method": "stbp", "time_steps": 2}]),
    ("studies/tiny/seeds", [2**44 - 1]),
    (f"{COUPLED}/options", {"mapping_unit": "stsu"}),
    (f"{COUPLED}/mapping_unit", ["stsu", "resu"]),
    (f"{STBP}/options", {"threshold": [0.5, 1]}),
    ("tracking/store", "http://localhost:5000"),
    ("tracking/store", "sqlite:///mlflow.db"),
    ("tracking/store", "databricks"),
    ("recipes/other", {"inherit": "tiny", "schedule": ONE_CYCLE}),
    ("studies/other", {"inherit": "tiny", "seeds": [1], "more_runs": [{"method": "sltt", "time_steps": 2}]}),
]


@pytest.mark.parametrize(
    ("path", "value"), RIGHT, ids=[f"{path}={'nothing' if value is DELETED else value}"[:60] for path, value in RIGHT]
)
def test_a_right_edit_is_not_refused(path: str, value: Any) -> None:
    parameters = edited(path, value)
    for name in parameters["studies"]:
        foresee(resolve(parameters, name), networks=False)


SHOWN = [
    ("methods/stbp", {"surrogate": "foo"}, "methods.stbp.surrogate"),
    ("report/headline/training_time_steps", 5, "report.headline"),
    ("study", DELETED, "study"),
]


@pytest.mark.parametrize(("path", "value", "key"), SHOWN, ids=[edit[2] for edit in SHOWN])
def test_check_and_a_dry_run_of_snakemake_say_it(path: str, value: Any, key: str, tmp_path: Path) -> None:
    project = new_project(tmp_path / "p")
    (project.folder / "params.yaml").write_text(yaml.safe_dump(edited(path, value)))
    for printed in (project.run("snn2ann", "check", fails=True), project.snakemake("--dry-run", fails=True)):
        assert f"{key}: " in printed and "Traceback" not in printed
    assert not (project.folder / "results/runs").exists()


def test_parameters_of_no_shape_at_all_are_refused() -> None:
    values: list[Any] = [[], 3, "words", None]
    for value in values:
        with pytest.raises(UserError):
            resolve({"study": value}, "tiny")


LARGE = {"kind": "vgg", "pooled_blocks": {"8": []}, "dropout": [0], "initialisation": "default"}
OWN = "def make(shape, classes, **given):\n    from torch import nn\n    {}\n"
PASSED_ROUND = """from torch import nn


class Round(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU())
        self.outer = nn.Conv2d(1, 4, 1)
        self.last = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten())
        self.classifier = nn.Linear(4 * 64, 10)

    def forward(self, images):
        return self.classifier(self.last(self.inner(images) + self.outer(images)))


def make(shape, classes, **given):
    return Round(**given)
"""
NETWORKS: list[tuple[str, dict[str, Any], str]] = [
    ("", LARGE | {"blocks": [[65536] * 100]}, "take 57,[0-9]{3} GiB in training; expected 1,024 GiB at most"),
    ("", {"kind": "torchvision", "name": "resnet18", "stem": "small", "width_per_group": 3}, "cannot be built"),
    ("", {"kind": "torchvision", "name": "alexnet"}, "images of 1×8×8 do not go through"),
    (OWN.format("return nn.Linear(3, 2)"), {}, "weights used outside a module"),
    (
        OWN.format("return nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.ReLU(), nn.Linear(8, 3))"),
        {},
        "gives .1, 3.",
    ),
    (OWN.format("return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))"), {}, "neurons|ReLU"),
    (
        OWN.format("return nn.Sequential(nn.Flatten(), nn.Linear(64, 10**13), nn.ReLU(), nn.Linear(10**13, 10))"),
        {},
        "GiB",
    ),
    (OWN.format("return 3"), {}, "gives int; expected a torch.nn.Module"),
    (OWN.format("return unknown"), {}, "makes no network: NameError"),
    (OWN.format("return nn.Identity(**given)"), {"width": 3, "path": "own_network:mak"}, "makes no network"),
    ("import nothing_of_this_name\n", {}, "makes no network: ModuleNotFoundError"),
    (PASSED_ROUND, {"width": 3}, "makes no network: TypeError"),
    (PASSED_ROUND, {}, "method snn2ann at T = 2: .*comes round neurons.*'direct' or 'divide'"),
]


@pytest.mark.parametrize(("code", "network", "words"), NETWORKS, ids=[str(place) for place in range(len(NETWORKS))])
def test_what_cannot_be_built_or_run_is_said_before_any_job(
    code: str, network: dict[str, Any], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "own_network", raising=False)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "own_network.py").write_text(code)
    described = network if "kind" in network else {"kind": "module", "path": "own_network:make"} | network
    parameters = edited("networks/vgg-tiny", described)
    # As `snakemake --dry-run` looks: not at every network, yet at these.
    with pytest.raises(UserError, match=rf"(?s)^networks\.vgg-tiny: .*({words})") as caught:
        foresee(resolve(parameters, "tiny"), networks=False)
    assert "Traceback" not in str(caught.value)


def test_a_batch_that_no_machine_holds_is_said_by_check() -> None:
    parameters = edited("recipes/tiny/batch_size", 1_000_000)
    parameters["networks"]["vgg-tiny"] |= {"blocks": [[65536], [4096]]}
    with pytest.raises(UserError, match=r"networks\.vgg-tiny: a batch takes .* batch_size: 1000000 is not allowed"):
        foresee(resolve(parameters, "tiny"))


def test_one_list_of_poolings_for_all_images_leaves_something_of_each() -> None:
    parameters = edited(
        "networks/vgg-tiny", LARGE | {"blocks": [[4]] * 4, "dropout": [0] * 4, "pooled_blocks": [1, 2, 3, 4]}
    )
    parameters["measurement"] = None
    assert "networks.vgg-tiny.pooled_blocks: [1, 2, 3, 4] is not allowed" in refusal(parameters)
