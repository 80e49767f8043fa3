"""Put what was measured into docs/engine.md, between its marks: `python -m benchmarks.tables`."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
from tabulate import tabulate

from snn2ann.evaluation.arithmetic import JOULE_PER_MAC
from snn2ann.report import blocks

RESULTS, PAGE = Path("benchmarks/results"), Path("docs/engine.md")
NETWORKS = {"vgg-13": "VGG-13", "resnet-17": "ResNet-17"}


def reach(folder: Path) -> str:
    """What was to be reached, and what is, a column for each network and batch size."""
    steps, answers = pd.read_csv(folder / "training_step.csv"), pd.read_csv(folder / "inference.csv")

    def one(data: pd.DataFrame, column: str, time_steps: int = 5) -> float:
        rows = data[(data["method"] == "snn2ann") & (data["time_steps"] == time_steps)]
        return float(rows[column].iloc[0]) if len(rows) else float("nan")

    def flatness(data: pd.DataFrame) -> float:
        return one(data, "saved_bytes", 16) / one(data, "saved_bytes", 4)

    measures: list[tuple[str, str, str, Callable[[pd.DataFrame, pd.DataFrame], float]]] = [
        ("Step time, T=5 / spike-based BP T=8", "0.377", "≤ 0.25", lambda s, _: one(s, "ratio_to_bp_t8")),
        ("Step time, both at T=5", "–", "≤ 0.42", lambda s, _: one(s, "ratio_to_bp_equal_t")),
        ("Step time, T=5 / plain ANN", "–", "≤ 2.93", lambda s, _: one(s, "ratio_to_ann")),
        ("Saved for backward, T=5 / BP T=8", "0.27", "≤ 0.10", lambda s, _: one(s, "saved_to_bp_t8")),
        ("Saved for backward, T=5 / plain ANN", "–", "≤ 0.9", lambda s, _: one(s, "saved_to_ann")),
        ("Saved for backward, T=16 / T=4", "–", "≤ 1.02", lambda s, _: flatness(s)),
        ("Growth of resident memory, T=5 / BP T=8", "0.27", "≤ 0.2", lambda s, _: one(s, "peak_to_bp_t8")),
        ("Inference T=5, images a second / SpikingJelly's", "–", "≥ 1.5", lambda _, a: one(a, "speed_to_spikingjelly")),
        (
            "Inference T=8, images a second / SpikingJelly's",
            "–",
            "≥ 1.5",
            lambda _, a: one(a, "speed_to_spikingjelly", 8),
        ),
    ]
    places = list(dict.fromkeys(zip(steps["network"], steps["batch_size"], strict=True)))
    rows = []
    for words, paper, asked, value in measures:
        found = [value(_at(steps, place), _at(answers, place)) for place in places]
        rows.append([words, paper, asked, *("–" if each != each else f"{each:.3f}" for each in found)])
    head = [f"{NETWORKS[network]}, batch {size}" for network, size in places]
    return tabulate(rows, ["Measure", "Paper", "To reach", *head], tablefmt="github", disable_numparse=True)


def side_by_side(folder: Path) -> str:
    """Every method's step as multiples of the plain ANN's and of spike-based BP's at T=8."""
    data = pd.read_csv(folder / "training_step.csv")
    rows = [
        [
            NETWORKS[row["network"]],
            row["batch_size"],
            row["method"],
            row["library"],
            "" if pd.isna(row["time_steps"]) else int(row["time_steps"]),
            f"{row['seconds']:.2f}",
            f"{row['ratio_to_ann']:.2f}",
            f"{row['ratio_to_bp_t8']:.3f}",
            f"{row['saved_bytes'] / 2**20:.0f}",
            f"{row['saved_to_ann']:.2f}",
            f"{row['peak_bytes'] / 2**20:.0f}",
            row["rounds"],
        ]
        for row in data.to_dict("records")
    ]
    head = ["Network", "Batch", "Method", "Library", "T", "Seconds", "Time / ANN", "Time / BP T=8"]
    head += ["Saved (MiB)", "Saved / ANN", "Growth (MiB)", "Rounds"]
    return tabulate(rows, head, tablefmt="github", disable_numparse=True)


def answering(folder: Path) -> str:
    """Inference of every method."""
    data = pd.read_csv(folder / "inference.csv")
    rows = [
        [
            NETWORKS[row["network"]],
            row["batch_size"],
            row["method"],
            "" if pd.isna(row["time_steps"]) else int(row["time_steps"]),
            f"{row['images_per_second']:.1f}",
            _shown(row["firing_rate"], ".3f", missing=""),
            _shown(row["speed_to_spikingjelly"], ".2f", missing=""),
        ]
        for row in data.to_dict("records")
    ]
    head = ["Network", "Batch", "Method", "T", "Images a second", "Firing rate", "Speed / SpikingJelly's"]
    return tabulate(rows, head, tablefmt="github", disable_numparse=True)


def trained(folder: Path) -> str:
    """Inference of trained networks beside their plain ANNs."""
    data = pd.read_csv(folder / "trained.csv")
    rows = [
        [
            NETWORKS[row["network"]],
            int(row["time_steps"]),
            f"{row['accuracy']:.1f}",
            f"{row['ann_accuracy']:.1f}",
            f"{row['firing_rate']:.3f}",
            f"{row['images_per_second']:.1f}",
            f"{row['speed_to_ann']:.2f}",
            f"{row['synaptic_operations'] / 1e9:.3f}",
            f"{row['energy'] / row['ann_energy']:.3f}",
            f"{row['synaptic_operations'] * row['images_per_second'] / 1e9:.0f}",
            f"{row['ann_energy'] / JOULE_PER_MAC * row['ann_images_per_second'] / 1e9:.0f}",
            f"{row['firing_rate'] * row['speed_to_ann']:.3f}",
        ]
        for row in data.sort_values(["network", "time_steps"], ascending=[False, True]).to_dict("records")
    ]
    head = ["Network", "T", "Accuracy (%)", "ANN (%)", "Firing rate", "Images a second", "Speed / ANN"]
    head += ["Synaptic operations (G)", "Energy / ANN", "G accumulates a second", "ANN: G MAC a second"]
    head += ["Rate at its speed"]
    return tabulate(rows, head, tablefmt="github", disable_numparse=True)


def trained_layers(folder: Path) -> str:
    """The same by layer at the T of training."""
    data = pd.read_csv(folder / "trained_layers.csv")
    rows = [
        [
            NETWORKS[row["network"]],
            row["layer"],
            _shown(row["firing_rate"], ".3f"),
            f"{row['accumulates'] / 1e6:.2f}",
            f"{row['multiply_accumulates'] / 1e6:.2f}",
            f"{row['ann_multiply_accumulates'] / 1e6:.2f}",
            f"{row['energy'] / row['ann_energy']:.3f}",
        ]
        for row in data.to_dict("records")
    ]
    head = [
        "Network",
        "Layer",
        "Firing rate",
        "Accumulates (M)",
        "Multiply-accumulates (M)",
        "ANN's (M)",
        "Energy / ANN",
    ]
    return tabulate(rows, head, tablefmt="github", disable_numparse=True)


def where(folder: Path) -> str:
    """What a step's time goes to."""
    data = pd.read_csv(folder / "where_time_goes.csv")
    data["step"] = data["network"].map(NETWORKS) + ", " + data["method"]
    table = data.pivot_table(index="part", columns="step", values="share", sort=False)
    shown = table.map(lambda share: "–" if pd.isna(share) else f"{share:.0%}")
    return tabulate(shown, ["Part of a step", *table.columns], tablefmt="github", disable_numparse=True)


def coupling(folder: Path) -> str:
    """Networks through `couple`, beside others."""
    data = pd.read_csv(folder / "coupling.csv")
    rows = [
        [
            NETWORKS.get(row["network"], row["network"]),
            row["variant"],
            row["pass"],
            row["batch_size"],
            row["beside"],
            f"{row['seconds']:.2f}",
            f"{row['ratio']:.3f}",
        ]
        for row in data.to_dict("records")
    ]
    head = ["Network", "Variant", "Pass", "Batch", "Beside", "Seconds", "Time / that one's"]
    return tabulate(rows, head, tablefmt="github", disable_numparse=True)


def on_gpus(folder: Path) -> str:
    """What `make gpu` found on each machine whose files are there."""
    rows = []
    for path in sorted(folder.glob("gpu-*/facts.json")):
        facts = json.loads(path.read_text(encoding="utf-8"))
        checks = {name: "yes" if check["passed"] else f"no: {check['said']}" for name, check in facts["checks"].items()}
        for verdict in facts["verdicts"]:
            place = [facts["device"], NETWORKS.get(verdict["network"], verdict["network"]), verdict["precision"]]
            measured = verdict["measured"]
            said = "not measured" if measured is None else "holds" if verdict["holds"] else "does not hold"
            words = {"ratio_to_bp_t8": "time", "peak_to_bp_t8": "peak memory"}[verdict["measure"]]
            shown = "–" if measured is None else f"{measured:.3f}"
            rows.append([*place, verdict["batch_size"], words, verdict["claimed"], shown, said, *checks.values()])
    if not rows:
        return "Not run on any GPU yet."
    head = ["GPU", "Network", "Precision", "Batch", "T = 5 / BP T = 8", "Paper", "Measured", "Claim"]
    head += ["Kernels equal", "Second writing equal", "Waits for nothing"]
    return tabulate(rows, head, tablefmt="github", disable_numparse=True)


def as_graphs(folder: Path) -> str:
    """What a step as one CUDA graph takes, on each machine whose files are there."""
    rows = []
    for path in sorted(folder.glob("gpu-*/captured.csv")):
        device = json.loads(path.with_name("facts.json").read_text(encoding="utf-8"))["device"]
        for row in pd.read_csv(path).to_dict("records"):
            steps = _shown(row["time_steps"], ".0f")
            place = [device, NETWORKS.get(row["network"], row["network"]), row["method"], steps]
            shown = [_shown(row[name], ".4f") for name in ("seconds", "captured_seconds", "ratio")]
            note = "" if pd.isna(row["note"]) else row["note"]
            rows.append([*place, row["precision"], row["batch_size"], *shown, note])
    if not rows:
        return "Not run on any GPU yet."
    head = ["GPU", "Network", "Method", "T", "Precision", "Batch", "Seconds", "As a graph", "Ratio", "Note"]
    return tabulate(rows, head, tablefmt="github", disable_numparse=True)


def _shown(value: Any, form: str, missing: str = "–") -> str:
    return missing if pd.isna(value) else format(value, form)


def _at(data: pd.DataFrame, place: tuple[str, int]) -> pd.DataFrame:
    return data[(data["network"] == place[0]) & (data["batch_size"] == place[1])]


TABLES: dict[str, Callable[[Path], str]] = {
    "reach": reach,
    "side by side": side_by_side,
    "inference": answering,
    "trained": trained,
    "trained by layer": trained_layers,
    "where": where,
    "coupling": coupling,
    "gpu": on_gpus,
    "graphs": as_graphs,
}


def main() -> None:
    """Fill the page's tables."""
    blocks.fill(PAGE, {name: table(RESULTS) for name, table in TABLES.items()})


if __name__ == "__main__":
    main()
