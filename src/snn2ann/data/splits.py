"""Splits that keep the share of every class."""

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]


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


def split_indices(
    labels: Indices,
    official_train: int,
    *,
    validation: float,
    test: float | None,
    train_images: int | None,
    split_seed: int,
) -> dict[str, Indices]:
    """Split a data set into training, validation and test images.

    The test part is the official one, or a fraction of everything where `test` is given. The
    validation part is a fraction of what remains; `train_images` then thins out the training part
    alone, so that a smaller training set is judged on the same validation images.

    Args:
        labels: int64 [N], the official training part first.
        official_train: number of images of the official training part.
        validation: fraction of the training part that is held out.
        test: fraction of all images, or None for the official test part.
        train_images: upper bound of the training images, or None.
        split_seed: seed of every draw.

    Returns:
        `train`, `validation` and `test`: int64, ascending, disjoint.
    """
    draws = [np.random.default_rng([split_seed, step]) for step in range(3)]
    everything = np.arange(len(labels), dtype=np.int64)
    if test is None:
        test_part = everything[official_train:]
    else:
        test_part = stratified_subset(labels, round(test * len(labels)), draws[0])
    pool = np.setdiff1d(everything, test_part)
    held_out = stratified_subset(labels[pool], round(validation * len(pool)), draws[1])
    validation_part = pool[held_out]
    train = np.delete(pool, held_out)
    if train_images is not None and train_images < len(train):
        train = train[stratified_subset(labels[train], train_images, draws[2])]
    return {"train": train, "validation": validation_part, "test": test_part}
