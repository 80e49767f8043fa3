"""A method's results may not move unless its `revision` is raised, for stored runs are found by it.

After raising a revision, or adding a method, `python tests/training/test_revisions.py` makes its record anew, and no other.
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.functional import cross_entropy

from snn2ann.evaluation.evaluate import evaluate_split
from snn2ann.methods import METHODS
from snn2ann.methods.build import build_model
from snn2ann.options import VARIANTS

RECORD = Path(__file__).with_name("revisions.json")
NETWORK = {"kind": "resnet", "channels": [4, 4, 6], "strides": [1, 1, 2], "blocks_per_stage": 1, "dropout": 0.2}
OWN = [name for name, entry in METHODS.items() if entry.options != "variants"]
# Options that change what happens in a step, and that no variant has.
CHANGES: dict[str, dict[str, float]] = {
    "snn2ann refined learned": {"threshold_descent": 0.05},
    "snn2ann refined quantised": {"quantised_share": 0.5},
}
CASES = [*OWN, *(f"snn2ann {variant}" for variant in VARIANTS), *CHANGES]


def tiny_run(case: str) -> dict[str, Any]:
    """Four training steps and an evaluation, on images that follow a formula."""
    name, *words = case.split()
    options = asdict(VARIANTS[words[0]]) if words else METHODS[name].defaults
    options |= CHANGES.get(case, {})
    method = {"name": name, "time_steps": 3 if METHODS[name].time_steps else None, "options": options}
    torch.manual_seed(0)
    dataset = {"shape": (1, 6, 6), "classes": 3}
    model = build_model({"dataset": dataset, "network": NETWORK, "method": method})
    images = torch.sin(torch.arange(24 * 36.0) ** 1.5).reshape(24, 1, 6, 6)
    labels = torch.arange(24) % 3
    losses = []
    if model.trains:
        optimiser = torch.optim.SGD(model.parameters(), lr=0.05)
        for done in range(4):
            model.phase = model.phase_at(done / 4)
            optimiser.zero_grad()
            step = model.training_step(images, labels, cross_entropy)
            step.loss.backward()
            optimiser.step()
            losses.append(round(step.loss.item(), 6))
    else:
        model.convert([images])
    entry = evaluate_split(model.eval(), lambda: iter([(images, labels)]), 4, 3)
    spikes = [layer["spikes_per_image"][-1] for layer in entry["layers"]]
    return {"revision": METHODS[name].revision, "losses": losses, "spikes": [round(value, 4) for value in spikes]}


@pytest.mark.parametrize("case", CASES)
def test_results_move_only_with_the_revision(case: str) -> None:
    recorded, found = json.loads(RECORD.read_text())[case], tiny_run(case)
    assert found["revision"] == recorded["revision"], "the revision was raised: make the record anew"
    # Another processor rounds otherwise and may flip a spike here and there; a change of the method does more than that.
    message = f"{case}: results moved; raise its revision in snn2ann.methods.METHODS and make the record anew"
    assert found["losses"] == pytest.approx(recorded["losses"], rel=0.01), message
    assert found["spikes"] == pytest.approx(recorded["spikes"], rel=0.02, abs=0.5), message


def up_to_date(recorded: dict[str, Any]) -> dict[str, Any]:
    """The record with the cases that it lacks, or has of another revision, made anew."""
    kept = {case: found for case, found in recorded.items() if found["revision"] == METHODS[case.split()[0]].revision}
    return {case: kept.get(case) or tiny_run(case) for case in CASES}


def test_a_record_is_made_anew_only_where_the_revision_was_raised() -> None:
    recorded = {case: {"revision": METHODS[case.split()[0]].revision, "losses": [], "spikes": []} for case in CASES}
    changed = recorded | {"ann": {"revision": 0}}
    made = up_to_date(changed)
    assert made["ann"] == tiny_run("ann")
    assert {case: found for case, found in made.items() if case != "ann"} == {
        case: found for case, found in recorded.items() if case != "ann"
    }


if __name__ == "__main__":
    RECORD.write_text(json.dumps(up_to_date(json.loads(RECORD.read_text())), indent=1) + "\n")
