"""MNIST and Fashion-MNIST: 60,000 training and 10,000 test images of 28x28 pixels, 10 classes."""

from __future__ import annotations

from .dataset import ArrayDataset, image_pair
from .locate import Source, load_source

_TRAIN_IMAGES, _TRAIN_LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
_TEST_IMAGES, _TEST_LABELS = "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"
_SIZES = {
    _TRAIN_IMAGES: 47_040_016,
    _TRAIN_LABELS: 60_008,
    _TEST_IMAGES: 7_840_016,
    _TEST_LABELS: 10_008,
}

_MNIST_SHA256 = {
    _TRAIN_IMAGES: "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    _TRAIN_LABELS: "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    _TEST_IMAGES: "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    _TEST_LABELS: "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
_FASHION_SHA256 = {
    _TRAIN_IMAGES: "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    _TRAIN_LABELS: "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    _TEST_IMAGES: "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    _TEST_LABELS: "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}

_MNIST = Source(
    "mnist",
    ("mnist", "MNIST/raw"),
    {name: (_SIZES[name], digest) for name, digest in _MNIST_SHA256.items()},
    (
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ),
)
_FASHION_MNIST = Source(
    "fashion_mnist",
    ("fashion-mnist", "fashion_mnist", "FashionMNIST/raw"),
    {name: (_SIZES[name], digest) for name, digest in _FASHION_SHA256.items()},
    (
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
    ),
)
_FASHION_CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)


def _load(source: Source, classes: tuple[str, ...], download: bool) -> ArrayDataset:
    arrays = load_source(source, download)
    return ArrayDataset(
        source.name,
        image_pair(arrays[_TRAIN_IMAGES], arrays[_TRAIN_LABELS], full=255),
        image_pair(arrays[_TEST_IMAGES], arrays[_TEST_LABELS], full=255),
        classes,
        scale=255,
    )


def mnist(download: bool = False) -> ArrayDataset:
    """MNIST, handwritten digits (LeCun, Bottou, Bengio, Haffner 1998).

    x float32 (N, 1, 28, 28) in [0, 1], y int64 (N,). Files are searched in `NEURONA_DATA`, the
    user's cache and `/usr/share/datasets`; with `download=True` then fetched into the cache. Raises
    `FileNotFoundError`, `FormatError` (damaged files) or `ConnectionError`.
    """
    return _load(_MNIST, tuple("0123456789"), download)


def fashion_mnist(download: bool = False) -> ArrayDataset:
    """Fashion-MNIST, pictures of clothes (Xiao, Rasul, Vollgraf 2017); same form as `mnist`."""
    return _load(_FASHION_MNIST, _FASHION_CLASSES, download)
