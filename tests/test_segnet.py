"""The encoder-decoder: four ways up, any image size, and learning to label pixels."""

from __future__ import annotations

import numpy as np
import pytest

import neurona
from neurona import models
from neurona.models import segnet
from neurona.nn import functional as F


@pytest.mark.parametrize("mode", segnet.UPSAMPLING)
def test_one_network_takes_images_of_any_size(mode: str) -> None:
    """No dense layer fixes the size, and the parameters do not depend on it."""
    model = models.segnet_mini(3, 2, width=4, upsample=mode)
    for shape in ((2, 2, 8, 12), (1, 2, 32, 4)):
        assert model(neurona.zeros(*shape)).shape == (shape[0], 3, *shape[2:])
    learned = 8 * 8 * 4 + 8 + 4 * 4 * 4 + 4 if mode == "transposed" else 0
    convolutions = (18 * 4 + 4) + (36 * 8 + 8) + (72 * 8 + 8) + (72 * 4 + 4) + (36 * 4 + 4)
    total = sum(parameter.numel() for parameter in model.parameters())
    assert total == convolutions + learned + (4 * 3 + 3)


def shapes(count: int, size: int = 16) -> tuple[np.ndarray, np.ndarray]:
    """Noisy images with a bright box or disc, and their labels 0, 1, 2 per pixel."""
    rng = np.random.default_rng(5)
    rows, columns = np.mgrid[:size, :size]
    labels = np.zeros((count, size, size), np.int64)
    for label in labels:
        y, x = rng.integers(4, size - 4, 2)
        radius = rng.integers(3, 5)
        if rng.random() < 0.5:
            label[(abs(rows - y) < radius) & (abs(columns - x) < radius)] = 1
        else:
            label[(rows - y) ** 2 + (columns - x) ** 2 < radius**2] = 2
    brightness = np.array([0.0, 1.0, -1.0], np.float32)[labels]
    noise = rng.normal(0, 0.2, labels.shape).astype(np.float32)
    return (brightness + noise)[:, None], labels


@pytest.mark.parametrize("mode", segnet.UPSAMPLING)
def test_pixels_are_labelled(mode: str) -> None:
    """More than 95 % of the pixels of new images, by each way up; background alone is 86 %."""
    neurona.manual_seed(0)
    x, y = shapes(160)
    model = models.segnet_mini(3, upsample=mode)
    optimizer = neurona.optim.Adam(model.parameters(), lr=0.003)
    for _ in range(28):
        for start in range(0, 128, 16):
            optimizer.zero_grad()
            batch = slice(start, start + 16)
            loss = F.cross_entropy(model(neurona.Tensor(x[batch])), neurona.Tensor(y[batch]))
            loss.backward()
            optimizer.step()
    with neurona.no_grad():
        predicted = model(neurona.Tensor(x[128:])).data.argmax(axis=1)
    hits = predicted == y[128:]
    assert (y[128:] == 0).mean() < 0.9
    assert hits.mean() > 0.95, hits.mean()
