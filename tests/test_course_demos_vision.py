"""What the demos on images and depth show, each claim on its own and small."""

from __future__ import annotations

import numpy as np
import pytest

import neurona
from neurona import metrics, models, nn, optim, probes
from neurona.datasets.shapes import make_shapes
from neurona.nn import functional as F
from neurona.utils.data import train_val_split


def test_n_k_the_small_network_of_the_digits() -> None:
    """Conv 3x3x16, maximum, dense: 2,730 parameters and more than 96 % of a random test part."""
    neurona.manual_seed(1)
    model = nn.Sequential(
        *(nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(256, 10)),
    )
    assert sum(parameter.numel() for parameter in model.parameters()) == 2_730
    digits = neurona.datasets.digits()
    x, y = (np.concatenate(parts) for parts in zip(digits.train, digits.test, strict=True))
    x, x_test, y, y_test = train_val_split(
        x, y, val_size=360 / len(y), generator=neurona.Generator(0)
    )
    assert (len(y), len(y_test)) == (1437, 360)
    optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9, nesterov=True)
    trainer = neurona.Trainer(
        model,
        loss="cross_entropy",
        optimizer=optimizer,
        metrics=["accuracy"],
        scheduler=optim.lr_scheduler.OneCycleLR(optimizer, 0.1, epochs=12, steps_per_epoch=29),
        scheduler_step="batch",
    )
    trainer.fit(x, y, batch_size=50, epochs=12, verbose=0)
    assert trainer.evaluate(x_test, y_test, return_dict=True)["accuracy"] > 0.96


def test_r16_a_vote_costs_no_more_than_its_members_do_on_the_mean() -> None:
    """-ln is convex; with members that differ the vote is strictly better."""
    neurona.manual_seed(0)
    members = [nn.Linear(6, 4) for _ in range(5)]
    x, y = neurona.randn(200, 6), np.arange(200) % 4
    vote = neurona.Trainer(probes.Ensemble(members)).predict(x)
    cost = -np.log(vote[np.arange(200), y]).mean()
    each = [F.cross_entropy(member(x), neurona.tensor(y)).item() for member in members]
    assert cost < np.mean(each) - 0.01


@pytest.mark.parametrize("fitting", [True, False])
def test_n_n_modern_lenet_leads_with_weights_that_fit(fitting: bool) -> None:
    """With He's and Xavier's weights; with PyTorch's default ones the classic form does."""
    x, y = neurona.datasets.digits().train
    x = F.pad(F.interpolate(neurona.tensor(x), scale_factor=3), (4, 4, 4, 4)).numpy()
    losses = []
    for modern in (False, True):
        neurona.manual_seed(0)
        model = models.lenet5(modern=modern)
        for layer in model.modules() if fitting else ():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                (nn.init.kaiming_normal_ if modern else nn.init.xavier_normal_)(layer.weight)
                nn.init.zeros_(layer.bias)
        optimizer = optim.SGD(model.parameters(), lr=0.01 if fitting else 0.05, momentum=0.9)
        trainer = neurona.Trainer(model, loss="cross_entropy", optimizer=optimizer)
        history = trainer.fit(x, y, batch_size=50, epochs=2, verbose=0)
        losses.append(history.history["loss"][-1])
    classic, modern_loss = losses
    assert (classic - modern_loss if fitting else modern_loss - classic) > 0.1


def test_n_o_plain_layers_turn_digits_towards_each_other() -> None:
    """Mean cosine of activations behind 29 layers, before training; shortcuts keep it."""

    def cosine(**options: float) -> float:
        neurona.manual_seed(0)
        model = models.resmlp(64, depth=30, **options)
        seen: list[np.ndarray] = []
        model.blocks.register_forward_hook(lambda module, args, output: seen.append(output.data))
        with neurona.no_grad():
            model(neurona.tensor(neurona.datasets.digits().train[0][:100]))
        unit = seen[0] / np.linalg.norm(seen[0], axis=1, keepdims=True)
        return float((unit @ unit.T)[~np.eye(100, dtype=bool)].mean())

    assert cosine(residual=False) > 0.95
    assert cosine(branch_gain=0.1) < 0.9


def test_r13_the_answer_background_has_a_fifth_of_the_mean_iou() -> None:
    """79 % of the pixels of the shapes are background, so that accuracy alone misleads."""
    _, masks = make_shapes(200, generator=neurona.Generator(1))
    background = (masks == 0).mean()
    assert 0.77 < background < 0.82
    scores = np.zeros((200, 4, 32, 32))
    scores[:, 0] = 1
    assert metrics.mean_iou(scores, masks) == pytest.approx(background / 4, abs=1e-12)
