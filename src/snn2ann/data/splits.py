"""Splits that keep the share of every class."""

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from snn2ann.data.source import RawImages

Indices = NDArray[np.int64]
# Of a class with fewer training images little is learnt; of classes whose numbers are as far apart, accuracy says little.
_FEW = 10
_IMBALANCE = 2


def stratified_subset(labels: Indices, count: int, generator: np.random.Generator) -> Indices:
    """Choose `count` positions of `labels` so that every class keeps its share.

    The shares are rounded by largest remainder, ties to the lower class, so that they add up.

    Args:
        labels: int64 [N].
        count: how many of the N to choose.
        generator: draws which images of a class are chosen.

    Returns:
        int64 [count], ascending.
    """
    classes, sizes = np.unique(labels, return_counts=True)
    shares = sizes * count / len(labels)
    quotas = np.floor(shares).astype(np.int64)
    order = np.argsort(quotas - shares, kind="stable")
    quotas[order[: count - quotas.sum()]] += 1
    chosen = [
        generator.permutation(np.flatnonzero(labels == label))[:quota]
        for label, quota in zip(classes, quotas, strict=True)
    ]
    return np.sort(np.concatenate(chosen))


def stratified_folds(labels: Indices, folds: int, generator: np.random.Generator) -> Indices:
    """Deal the images of each class out to `folds` parts in turn, each class where the one before it stopped.

    Args:
        labels: int64 [N].
        folds: how many parts.
        generator: draws the order within a class.

    Returns:
        int64 [N], the part of each image, from 0: parts, and a class's images in them, differ by one at most.
    """
    part = np.empty(len(labels), dtype=np.int64)
    dealt = 0
    for label in np.unique(labels):
        here = generator.permutation(np.flatnonzero(labels == label))
        part[here] = (dealt + np.arange(len(here))) % folds
        dealt += len(here)
    return part


def split_indices(
    labels: Indices,
    official_train: int,
    *,
    validation: float | None,
    test: float | None,
    train_images: int | None,
    split_seed: int,
    official_validation: int = 0,
    fold: tuple[int, int] | None = None,
) -> dict[str, Indices]:
    """Split a data set into training, validation and test images.

    The test part is the official one, or a fraction of everything where `test` is given. The
    validation part is the official one, or a fraction of what remains; `train_images` then thins out the training part
    alone, so that a smaller training set is judged on the same validation images.

    Args:
        labels: int64 [N], the official training part first, then the validation part, if any.
        official_train: number of images of the official training part.
        validation: fraction of the training part that is held out, or None for the official validation part.
        test: fraction of all images but those of an official validation part, or None for the official test part.
        train_images: upper bound of the training images, or None.
        split_seed: seed of every draw.
        official_validation: number of images of the official validation part.
        fold: (which, of how many) `stratified_folds` of all images is the test part, in the place of `test`.

    Returns:
        `train`, `validation` and `test`: int64, ascending, disjoint.
    """
    draws = [np.random.default_rng([split_seed, step]) for step in range(3)]
    everything = np.arange(len(labels), dtype=np.int64)
    validation_part = everything[official_train : official_train + official_validation]
    pool = np.setdiff1d(everything, validation_part)
    if fold is not None:
        which, folds = fold
        test_part = pool[stratified_folds(labels[pool], folds, draws[0]) == which]
    elif test is None:
        test_part = everything[official_train + official_validation :]
    else:
        test_part = pool[stratified_subset(labels[pool], round(test * len(pool)), draws[0])]
    train = np.setdiff1d(pool, test_part)
    if validation is not None:
        held_out = stratified_subset(labels[train], round(validation * len(train)), draws[1])
        validation_part, train = train[held_out], np.delete(train, held_out)
    if train_images is not None and train_images < len(train):
        train = train[stratified_subset(labels[train], train_images, draws[2])]
    return {"train": train, "validation": validation_part, "test": test_part}


def described_splits(content: RawImages, indices: Mapping[str, Indices]) -> Iterator[str]:
    """How many images each split has, and what of its classes one should know: a line each."""
    names = content.class_names
    counts = {split: np.bincount(content.labels[part], minlength=len(names)) for split, part in indices.items()}
    yield ", ".join(f"{len(part):,} {split}" for split, part in indices.items()) + f" images of {len(names)} classes"
    for split, found in counts.items():
        if missing := [names[number] for number in np.flatnonzero(found == 0)]:
            yield f"warning: no {split} images of {_listed(missing)}"
    train = counts["train"]
    if few := [f"{names[number]} ({train[number]})" for number in np.flatnonzero((train > 0) & (train < _FEW))]:
        yield f"warning: fewer than {_FEW} training images of {_listed(few)}"
    least, most = int(train.argmin()), int(train.argmax())
    if train[most] > _IMBALANCE * train[least]:
        yield (
            f"warning: from {train[least]} ({names[least]}) to {train[most]} ({names[most]}) training images a class: "
            "balanced accuracy says what accuracy does not"
        )


def _listed(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
