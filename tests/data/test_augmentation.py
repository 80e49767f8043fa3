"""The batched augmentation against the plain one, image by image."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torchvision.transforms import functional as torchvision

from snn2ann.data.augmentation import Augmentation
from snn2ann.data.loading import PreparedDataset, batches


def images_of(count: int, channels: int, height: int, width: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(1, 256, (count, channels, height, width), dtype=np.uint8)


@settings(max_examples=60, deadline=None)
@given(
    count=st.integers(1, 12),
    channels=st.sampled_from([1, 3]),
    height=st.integers(2, 9),
    width=st.integers(2, 9),
    padding=st.integers(0, 4),
    flip=st.booleans(),
    seed=st.integers(0, 2**32),
    epoch=st.integers(0, 1000),
    data=st.data(),
)
def test_each_crop_is_a_slice_of_the_padded_image(
    count: int,
    channels: int,
    height: int,
    width: int,
    padding: int,
    flip: bool,
    seed: int,
    epoch: int,
    data: st.DataObject,
) -> None:
    images = images_of(20, channels, height, width, seed)
    positions = np.array(data.draw(st.lists(st.integers(0, 19), min_size=count, max_size=count)))
    places = np.array(data.draw(st.permutations(range(count))))
    draws = Augmentation.draw({"crop_padding": padding, "horizontal_flip": flip}, count, seed, epoch)
    crops = draws.apply(images, positions, places)
    assert crops.dtype == np.uint8
    assert crops.flags.c_contiguous
    given = [torch.from_numpy(each) for each in (images, positions, places)]
    np.testing.assert_array_equal(draws.on(torch.device("cpu")).apply(*given).numpy(), crops)
    for crop, position, place in zip(crops, positions, places, strict=True):
        top, left = int(draws.rows[place]), int(draws.columns[place])
        assert 0 <= top <= 2 * padding
        assert 0 <= left <= 2 * padding
        padded = np.pad(images[position], ((0, 0), (padding, padding), (padding, padding)))
        expected = padded[:, top : top + height, left : left + width]
        if draws.flips[place]:
            expected = expected[:, :, ::-1]
        np.testing.assert_array_equal(crop, expected)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32), epoch=st.integers(0, 1000), size=st.integers(1, 40))
def test_the_batch_does_not_matter(seed: int, epoch: int, size: int) -> None:
    images = images_of(40, 3, 5, 5, 0)
    draws = Augmentation.draw({"crop_padding": 2, "horizontal_flip": True}, 40, seed, epoch)
    everything = np.arange(40)
    whole = draws.apply(images, everything, everything)
    order = np.random.default_rng(seed).permutation(40)
    for start in range(0, 40, size):
        chosen = order[start : start + size]
        np.testing.assert_array_equal(draws.apply(images, chosen, chosen), whole[chosen])


@pytest.mark.parametrize("padding", [1, 4])
def test_every_offset_is_drawn_equally_often_and_half_are_mirrored(padding: int) -> None:
    count = 20_000
    draws = Augmentation.draw({"crop_padding": padding, "horizontal_flip": True}, count, 0, 0)
    offsets = 2 * padding + 1
    pairs = np.bincount(draws.rows * offsets + draws.columns, minlength=offsets**2)
    # Five standard deviations of a binomial count, for each of the pairs.
    share = 1 / offsets**2
    assert np.abs(pairs - count * share).max() < 5 * np.sqrt(count * share)
    assert abs(draws.flips.mean() - 0.5) < 0.02


def test_switched_off_parts_change_nothing() -> None:
    images = images_of(30, 3, 8, 8, 0)
    everything = np.arange(30)
    for options in (None, {}, {"crop_padding": 0, "horizontal_flip": False}):
        draws = Augmentation.draw(options, 30, 0, 0)
        np.testing.assert_array_equal(draws.apply(images, everything, everything), images)
    flips_only = Augmentation.draw({"horizontal_flip": True}, 30, 0, 0)
    assert flips_only.flips.any()
    assert not flips_only.rows.any()


def test_batches_equal_torchvisions_transforms_with_the_same_draws() -> None:
    images, padding = images_of(64, 3, 32, 32, 1), 4
    mean, std = [0.4914, 0.4822, 0.4465], [0.2470, 0.2435, 0.2616]
    dataset = PreparedDataset(
        "", "", images, np.arange(64), {"train": np.arange(64)}, 255, mean, std, [str(n) for n in range(64)]
    )
    options: dict[str, Any] = {"crop_padding": padding, "horizontal_flip": True}
    draws = Augmentation.draw(options, 64, 5, 7)
    for batch, labels in batches(dataset, "train", 10, augmentation=options, shuffle=True, seed=5, epoch=7):
        for image, label in zip(batch, labels.tolist(), strict=True):
            picture = torchvision.pad(Image.fromarray(np.moveaxis(images[label], 0, 2)), [padding])
            picture = torchvision.crop(picture, int(draws.rows[label]), int(draws.columns[label]), 32, 32)
            if draws.flips[label]:
                picture = torchvision.hflip(picture)
            expected = torchvision.normalize(torchvision.to_tensor(picture), mean, std)
            torch.testing.assert_close(image, expected, atol=2e-6, rtol=0)


@pytest.mark.parametrize("kind", ["uint8", "float32"])
def test_batches_made_where_the_images_lie_have_the_same_bits(kind: str) -> None:
    images = images_of(64, 3, 9, 7, 1).astype(kind)
    dataset = PreparedDataset(
        "", "", images, np.arange(64), {"train": np.arange(0, 64, 2)}, 255, [0.4] * 3, [0.3] * 3, ["0"] * 64
    )
    options: dict[str, Any] = {"crop_padding": 2, "horizontal_flip": True}
    for part in ((0, 1), (1, 2)):
        chosen: dict[str, Any] = {"augmentation": options, "shuffle": True, "seed": 5, "epoch": 7, "part": part}
        here = list(batches(dataset, "train", 10, **chosen))
        there = list(batches(dataset, "train", 10, **chosen, stored=torch.from_numpy(images)))
        assert len(here) == len(there) == 4
        for (one, labels), (other, theirs) in zip(here, there, strict=True):
            assert torch.equal(one, other) and torch.equal(labels, theirs) and one.dtype == other.dtype
