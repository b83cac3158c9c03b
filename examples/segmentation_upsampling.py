"""A class for every pixel: an encoder-decoder, and four ways to undo its pools.

Images of 32x32 pixels with discs, squares and triangles under noise, made by code; the network
`segnet_mini` is conv-pool-conv-pool-conv and back up, by each of

    nearest       every value four times
    bed of nails  every value in the top left corner of a block of zeros
    max-unpool    every value where the mirrored pool found its maximum, zeros elsewhere
    transposed    a transposed convolution that is learned, kernel 2 and stride 2

Expected after 30 epochs on 400 images: more than 95 % of the pixels of 60 new images, by each way,
and a mean intersection over union (IoU) of more than .7, where the answer "background" for every
pixel has 79 % and .20. After the quick form's 6 epochs on 96 images they find the shapes, but do
not know their kinds yet: the IoU of more than .8 there is that of all kinds taken as one.

The demo also prints how often a transposed convolution of ones writes each pixel: a kernel that
its stride does not divide makes the checkerboard that is seen in pictures of such networks; kernel
2 with stride 2, as here, does not. 2x2 -> 4x4 by kernel 3 and stride 2 takes padding 1 and
output_padding 1, which crops one leading row and column.

    python examples/segmentation_upsampling.py             # about a minute on two cores
    python examples/segmentation_upsampling.py --quick
"""

from __future__ import annotations

import numpy as np
from demo import Demo, main
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

import neurona
from neurona import metrics, models, nn, optim
from neurona.datasets.shapes import SHAPE_CLASSES, make_shapes
from neurona.nn import functional as F

WAYS = ("nearest", "bed_of_nails", "max_unpool", "transposed")
COLORS = ListedColormap(["#20242c", "#e4a33b", "#4c8fd0", "#c0504d"])
# Kernel, stride, padding and output_padding of a transposed convolution -> writes along one line.
OVERLAPS = {
    (3, 2, 0, 0): (1, 1, 2, 1, 1),
    (3, 2, 1, 1): (1, 2, 1, 1),
    (3, 1, 0, 0): (1, 2, 2, 1),
    (2, 2, 0, 0): (1, 1, 1, 1),
}


def writes(kernel: int, stride: int, padding: int, output_padding: int, size: int) -> np.ndarray:
    """How often each output pixel of a (size, size) input is written."""
    layer = nn.ConvTranspose2d(
        1, 1, kernel, stride, padding=padding, output_padding=output_padding, bias=False
    )
    nn.init.ones_(layer.weight)
    with neurona.no_grad():
        return layer(neurona.ones(1, 1, size, size)).numpy()[0, 0]


def overlaps(demo: Demo) -> None:
    demo.section("Writes per pixel of a transposed convolution, from 2x2 inputs")
    for options, line in OVERLAPS.items():
        grid = writes(*options, size=2)
        kernel, stride, padding, _ = options
        name = f"kernel {kernel}, stride {stride}" + (", cropped" if padding else "")
        print("\n".join("      " + " ".join(f"{value:.0f}" for value in row) for row in grid))
        demo.check(f"{name}, along a line", line, tuple(grid[0].astype(int).tolist()))
        demo.check(f"{name}, grid is line x line", True, np.array_equal(grid, np.outer(line, line)))
    demo.check("the centre of kernel 3, stride 2", 4, int(writes(3, 2, 0, 0, size=2)[2, 2]))

    figure = Figure(figsize=(10, 2.9), layout="constrained")
    for axes, options in zip(figure.subplots(1, 4), OVERLAPS, strict=True):
        image = axes.imshow(writes(*options, size=6), cmap="viridis", vmin=0, vmax=9)
        kernel, stride, padding, _ = options
        axes.set_title(f"kernel {kernel}, stride {stride}" + (", cropped" if padding else ""))
        axes.set(xticks=[], yticks=[])
    figure.colorbar(image, ax=figure.axes, label="writes", shrink=0.85)
    figure.savefig(demo.picture("segmentation_overlaps.png"), dpi=120)


def ways_up(demo: Demo) -> None:
    demo.section("2x2 maxima of a 4x4 map, and three ways back")
    x = neurona.tensor([[1.0, 2, 5, 6], [3, 4, 8, 7], [9, 12, 13, 14], [10, 11, 16, 15]])
    pooled, indices = nn.MaxPool2d(2, return_indices=True)(x.reshape(1, 1, 4, 4))
    demo.check("pooled", [[4, 8], [12, 16]], pooled.numpy()[0, 0].astype(int).tolist())
    back = {
        "nearest": nn.Upsample(scale_factor=2)(pooled),
        "bed of nails": nn.BedOfNails(2)(pooled),
        "max-unpool": nn.MaxUnpool2d(2)(pooled, indices),
    }
    expected = {
        "nearest": [[4, 4, 8, 8], [4, 4, 8, 8], [12, 12, 16, 16], [12, 12, 16, 16]],
        "bed of nails": [[4, 0, 8, 0], [0] * 4, [12, 0, 16, 0], [0] * 4],
        "max-unpool": [[0] * 4, [0, 4, 8, 0], [0, 12, 0, 0], [0, 0, 16, 0]],
    }
    for name, y in back.items():
        demo.check(name, expected[name], y.numpy()[0, 0].astype(int).tolist())


def images(*counts: int) -> list[np.ndarray]:
    """x and y for each count, all from one stream of random numbers."""
    source = neurona.Generator(1)
    return [part for count in counts for part in make_shapes(count, generator=source)]


def train(
    way: str, data: list[np.ndarray], quick: bool, seed: int = 0
) -> tuple[np.ndarray, dict[str, float]]:
    """The classes (N, H, W) that a trained network gives the test images, and its metrics."""
    x, y, x_test, y_test = data
    neurona.manual_seed(seed)
    width, batch, epochs = (8, 8, 6) if quick else (12, 16, 30)
    model = models.segnet_mini(len(SHAPE_CLASSES), width=width, upsample=way)
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    trainer = neurona.Trainer(
        model,
        loss="cross_entropy",
        optimizer=optimizer,
        metrics=["accuracy", metrics.MeanIoU(len(SHAPE_CLASSES), name="iou")],
        scheduler=optim.lr_scheduler.OneCycleLR(
            optimizer, 0.01, epochs=epochs, steps_per_epoch=-(-len(x) // batch)
        ),
        scheduler_step="batch",
    )
    trainer.fit(x, y, batch_size=batch, epochs=epochs, verbose=0)
    results = trainer.evaluate(x_test, y_test, return_dict=True)
    scores = trainer.predict(x_test)
    # The probability of background against that of all shapes together, as two classes.
    background = F.softmax(neurona.tensor(scores), dim=1).numpy()[:, :1]
    either = np.concatenate([background, 1 - background], axis=1)
    results["found"] = metrics.mean_iou(either, (y_test > 0).astype(np.int64))
    # What is more probably a shape than not gets the likeliest kind.
    return np.where(background[:, 0] < 0.5, scores[:, 1:].argmax(axis=1) + 1, 0), results


def draw(demo: Demo, data: list[np.ndarray], answers: dict[str, np.ndarray]) -> None:
    """Three test images: what is seen, what is true, and what each way up answers."""
    x_test, y_test = data[2:]
    columns = {"image": x_test[:, 0], "truth": y_test, **answers}
    figure = Figure(figsize=(10, 5.4), layout="constrained")
    grid = figure.subplots(3, len(columns))
    for row, line in enumerate(grid):
        for axes, (name, planes) in zip(line, columns.items(), strict=True):
            if name == "image":
                axes.imshow(planes[row], cmap="gray")
            else:
                axes.imshow(planes[row], cmap=COLORS, vmin=0, vmax=3, interpolation="nearest")
            axes.set(xticks=[], yticks=[])
            if row == 0:
                axes.set_title(name.replace("_", " "))
    patches = [
        grid[0, 0].plot([], [], "s", markersize=9, color=color, label=name)[0]
        for color, name in zip(COLORS.colors, SHAPE_CLASSES, strict=True)
    ]
    figure.legend(handles=patches, loc="outside lower center", ncols=len(patches))
    figure.savefig(demo.picture("segmentation_masks.png"), dpi=120)


def run(demo: Demo) -> None:
    overlaps(demo)
    ways_up(demo)
    data = images(*((96, 32) if demo.quick else (400, 60)))
    truth = data[3]
    background = float((truth == 0).mean())
    demo.section(f"Training; background is {background:.1%} of the test pixels")
    nothing = np.eye(len(SHAPE_CLASSES))[np.zeros_like(truth)].transpose(0, 3, 1, 2)
    demo.close("mean IoU of the answer background", 0.2, metrics.mean_iou(nothing, truth), 0.01)
    answers: dict[str, np.ndarray] = {}
    for way in WAYS:
        answers[way], results = train(way, data, demo.quick)
        demo.at_least(f"{way}: IoU of all kinds as one", 0.8, results["found"])
        if not demo.quick:
            demo.at_least(f"{way}: pixels", 0.95, results["accuracy"])
            demo.at_least(f"{way}: mean IoU of the kinds", 0.7, results["iou"])
    draw(demo, data, answers)


if __name__ == "__main__":
    main(run, __doc__)
