"""The shapes that tests sweep: one below, at and above every seam, and the degenerate ones.

Seams: vectors of 4, 8 and 16 lanes; tiles of MR = 6, 12, 14 rows and NR = 16, 32 columns; blocks of
KC = 256 terms. Sizes are kept so small that the whole sweep takes a minute; the few larger cases
reach the parallel code.
"""

from __future__ import annotations

from typing import NamedTuple

LANES = (1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33)
TILE_ROWS = (1, 5, 6, 7, 11, 12, 13, 14, 15)
TILE_COLUMNS = (1, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33)
TERMS = (1, 2, 255, 256, 257, 513)
# For element-wise loops and reductions: around the lanes, unrolled vectors, the parallel threshold.
LENGTHS = (*LANES, 63, 64, 65, 127, 129, 1000, 4097)

# (M, N, K)
GEMM = [
    *[(m, n, 7) for m in TILE_ROWS for n in TILE_COLUMNS],
    *[(13, 33, k) for k in TERMS],
    *[(1, n, 300) for n in (1, 17, 65)],
    *[(m, 1, 300) for m in (7, 29)],
    (130, 70, 300),
    (25, 530, 40),
    (260, 40, 33),
]
# Large enough for strips (M >= 48, N >= 64, 2 M N K >= 4 Mi): heights around the strip's 6 or 8
# rows, widths around its panels and their halves, depths around its unrolling and blocks of K.
GEMM_STRIPS = [
    *[(m, 97, 460) for m in (48, 49, 53, 54, 55, 56, 57, 63, 64, 65)],
    *[(50, n, 700) for n in (64, 65, 79, 80, 81, 95, 96, 97, 111, 112, 113, 144, 145, 160, 161)],
    *[(300, 301, k) for k in (24, 25, 26, 27, 31, 32, 33, 35, 36, 37, 63, 65)],
    *[(64, 96, k) for k in (511, 512, 513, 1023, 1024, 1025)],
    (50, 1024, 64),
    (1024, 70, 40),
]
GEMM_EMPTY = [(0, 5, 3), (4, 0, 3), (4, 5, 0), (0, 0, 0), (1, 1, 0)]
GEMM_LARGE = (257, 300, 290)

Pair = int | tuple[int, int]


class Conv2d(NamedTuple):
    """One convolution: x (N, C, H, W), weight (K, C/groups, R, S)."""

    N: int
    C: int
    H: int
    W: int
    K: int
    R: int
    S: int
    stride: Pair = 1
    padding: Pair = 0
    dilation: Pair = 1
    groups: int = 1

    @property
    def options(self) -> dict[str, Pair]:
        """The keyword arguments."""
        return {
            "stride": self.stride,
            "padding": self.padding,
            "dilation": self.dilation,
            "groups": self.groups,
        }

    @property
    def x(self) -> tuple[int, ...]:
        """Shape of the input."""
        return self.N, self.C, self.H, self.W

    @property
    def weight(self) -> tuple[int, ...]:
        """Shape of the weight."""
        return self.K, self.C // self.groups, self.R, self.S

    @property
    def terms(self) -> int:
        """Products behind one output, bias included."""
        return self.C // self.groups * self.R * self.S + 1


CONV2D = [
    Conv2d(1, 1, 1, 1, 1, 1, 1),
    Conv2d(2, 1, 28, 28, 6, 5, 5, 1, 2),
    Conv2d(2, 6, 14, 14, 16, 5, 5),
    Conv2d(1, 16, 5, 5, 120, 5, 5),
    *[Conv2d(1, 3, 6, 7, k, 3, 3, 1, 1) for k in (1, 4, 7, 8, 9, 15, 16, 17, 31, 32, 33)],
    *[Conv2d(1, c, 5, 6, 5, 3, 3, 1, 1) for c in (1, 2, 4, 7, 8, 9, 15, 16, 17, 33)],
    *[Conv2d(1, 2, 4, w, 3, 3, 3, 1, 1) for w in (1, 5, 6, 7, 11, 12, 13, 14, 15, 29)],
    *[Conv2d(1, c, 3, 3, 4, 3, 3, 1, 1) for c in (28, 29)],
    Conv2d(3, 5, 7, 6, 4, 3, 3, 2, 1),
    Conv2d(2, 4, 9, 11, 5, 3, 2, (2, 3), (1, 0)),
    Conv2d(1, 3, 10, 9, 4, 2, 2, 2),
    Conv2d(1, 3, 11, 10, 4, 3, 3, 3, 2),
    Conv2d(2, 3, 9, 9, 4, 3, 3, 1, 2, 2),
    Conv2d(1, 2, 12, 10, 3, 3, 2, 2, (2, 3), (3, 2)),
    Conv2d(2, 4, 6, 5, 6, 3, 3, 1, 1, 1, 2),
    Conv2d(1, 6, 6, 6, 9, 3, 3, 2, 1, 1, 3),
    Conv2d(2, 5, 7, 7, 5, 3, 3, 1, 1, 1, 5),
    *[Conv2d(1, c, 6, 7, c, 3, 3, 1, 1, 1, c) for c in (4, 8, 15, 16, 17, 33)],
    Conv2d(1, 8, 9, 8, 8, 5, 3, 2, (2, 1), 1, 8),
    Conv2d(1, 4, 9, 9, 4, 3, 3, 1, 2, 2, 4),
    Conv2d(1, 4, 6, 6, 12, 3, 3, 1, 1, 1, 4),
    Conv2d(2, 17, 5, 7, 33, 1, 1),
    Conv2d(2, 9, 6, 7, 10, 1, 1, 2),
    Conv2d(1, 5, 4, 4, 6, 1, 1, 1, 1),
    Conv2d(1, 8, 4, 4, 6, 1, 1, 1, 0, 1, 2),
    Conv2d(2, 3, 4, 5, 7, 4, 5),
    Conv2d(1, 2, 3, 3, 4, 5, 5, 1, 2),
    Conv2d(1, 2, 4, 4, 3, 2, 2, 5),
    Conv2d(1, 3, 1, 9, 4, 1, 3, 1, (0, 1)),
    Conv2d(1, 3, 9, 1, 4, 3, 1, 1, (1, 0)),
    Conv2d(1, 2, 3, 3, 3, 3, 3, 1, 3),
    Conv2d(2, 20, 14, 13, 18, 3, 3, 1, 1),
    # One input channel and few output channels, for vectors of several pixels.
    Conv2d(2, 1, 7, 9, 8, 3, 3, 1, 1),
    Conv2d(3, 1, 6, 5, 2, 5, 5, 1, 2),
    Conv2d(2, 1, 5, 8, 1, 2, 3, 1, (0, 2)),
    Conv2d(17, 1, 9, 33, 5, 6, 5, 1, 1),
    Conv2d(1, 1, 3, 40, 4, 3, 3, 1, 0),
]
CONV2D_EMPTY = Conv2d(0, 3, 6, 5, 4, 3, 3, 1, 1)
CONV2D_BLOCKS = [  # several of Winograd's blocks of tiles, the last one partial
    Conv2d(2, 68, 15, 14, 80, 5, 5, 1, 2),
    Conv2d(2, 64, 30, 29, 80, 3, 3, 1, 1),
    Conv2d(1, 1030, 29, 30, 5, 3, 3, 1, 1),
]
CONV2D_LARGE = [
    Conv2d(4, 16, 20, 20, 24, 3, 3, 1, 1),
    Conv2d(3, 32, 17, 17, 40, 1, 1),
    Conv2d(3, 17, 9, 14, 50, 3, 3, 1, 0),  # Winograd: partial vectors, tiles and panels
    Conv2d(3, 17, 9, 14, 50, 5, 5, 1, 0),  # its tiles of 2x2 for 5x5 taps
    Conv2d(2, 33, 13, 6, 16, 3, 3, 1, 2),
    Conv2d(2, 33, 13, 6, 16, 5, 5, 1, (4, 3)),
    *CONV2D_BLOCKS,
    *[case._replace(H=case.H // 2, W=case.W // 3) for case in CONV2D_BLOCKS],
    Conv2d(2, 70, 9, 9, 130, 3, 3, 2, 1),  # a gradient of the weights that is cut for the threads
    Conv2d(2, 58, 6, 5, 18, 3, 3, 2, 1),  # panels of 8 channels, the last one of 2
    Conv2d(4, 24, 20, 20, 24, 3, 3, 1, 1, 1, 24),
    Conv2d(9, 1, 28, 28, 6, 5, 5, 1, 2),
    Conv2d(1, 1, 130, 140, 4, 3, 3, 1, 1),  # too large for vectors of several pixels with AVX-512
]
# What is large for the sake of the CPU's blocks alone: a device that the host emulates or
# interprets takes seconds for each.
FOR_THE_CPU = [*CONV2D_BLOCKS, *[case for i, case in enumerate(GEMM_STRIPS) if i % 3]]
CONV2D_SMALLEST = [
    Conv2d(2, 2, 4, 5, 3, 3, 2, 1, 1),
    Conv2d(1, 4, 5, 4, 2, 2, 3, (2, 1), (0, 1), 1, 2),
    Conv2d(1, 2, 5, 5, 2, 2, 2, 1, 1, 2),
]
VARIANTS = (
    "naive",
    "direct",
    "im2col",
    "pointwise",
    "scatter",
    "depthwise",
    "narrow",
    "winograd",
    "winograd_columns",
)


class ConvTranspose2d(NamedTuple):
    """One transposed convolution: x (N, C, H, W), weight (C, K/groups, R, S)."""

    N: int
    C: int
    H: int
    W: int
    K: int
    R: int
    S: int
    stride: Pair = 1
    padding: Pair = 0
    output_padding: Pair = 0
    dilation: Pair = 1
    groups: int = 1

    @property
    def options(self) -> dict[str, Pair]:
        """The keyword arguments."""
        return {
            "stride": self.stride,
            "padding": self.padding,
            "output_padding": self.output_padding,
            "dilation": self.dilation,
            "groups": self.groups,
        }

    @property
    def x(self) -> tuple[int, ...]:
        """Shape of the input."""
        return self.N, self.C, self.H, self.W

    @property
    def weight(self) -> tuple[int, ...]:
        """Shape of the weight."""
        return self.C, self.K // self.groups, self.R, self.S


CONV_TRANSPOSE2D = [
    ConvTranspose2d(1, 1, 1, 1, 1, 1, 1),
    ConvTranspose2d(2, 3, 4, 5, 4, 3, 3),
    ConvTranspose2d(2, 4, 4, 4, 3, 2, 2, 2),
    ConvTranspose2d(1, 8, 5, 4, 17, 4, 4, 2, 1),
    ConvTranspose2d(1, 17, 3, 4, 8, 3, 3, 2, 1, 1),
    ConvTranspose2d(2, 4, 4, 5, 6, 3, 2, (2, 3), (1, 0), (1, 2), 1, 2),
    ConvTranspose2d(1, 6, 4, 4, 6, 3, 3, 2, 1, 1, 1, 6),
    ConvTranspose2d(1, 2, 4, 4, 3, 3, 3, 1, 0, 1, 2),
    ConvTranspose2d(1, 2, 4, 3, 3, 2, 4, (3, 2), (1, 2), (2, 1), (1, 2)),
    ConvTranspose2d(1, 3, 4, 5, 4, 1, 1),
    ConvTranspose2d(1, 3, 4, 5, 4, 1, 1, 3),
    ConvTranspose2d(1, 33, 3, 13, 5, 3, 3, 1, 1),
    ConvTranspose2d(2, 4, 5, 6, 13, 1, 1, 1, 0, (1, 0), (2, 1)),
    ConvTranspose2d(2, 4, 5, 6, 13, 1, 1, 1, 0, (0, 2), (1, 3)),
    ConvTranspose2d(1, 6, 5, 6, 6, 1, 1, 1, 0, 1, 2, 6),
    ConvTranspose2d(1, 6, 5, 6, 6, 3, 3, 1, 1, 1, 2, 6),
]
CONV_TRANSPOSE2D_EMPTY = ConvTranspose2d(0, 3, 4, 5, 4, 3, 3)
CONV_TRANSPOSE2D_LARGE = ConvTranspose2d(4, 24, 12, 12, 16, 4, 4, 2, 1)
CONV_TRANSPOSE2D_SMALLEST = [
    ConvTranspose2d(2, 2, 3, 2, 3, 2, 3, 2, 1, 1),
    ConvTranspose2d(1, 4, 2, 3, 2, 2, 2, 1, 0, 1, 2, 2),
]


class Pool2d(NamedTuple):
    """One pooling of x (N, C, H, W)."""

    N: int
    C: int
    H: int
    W: int
    kernel: Pair
    stride: Pair | None = None
    padding: Pair = 0
    dilation: Pair = 1
    ceil_mode: bool = False

    @property
    def x(self) -> tuple[int, ...]:
        """Shape of the input."""
        return self.N, self.C, self.H, self.W

    @property
    def options(self) -> dict[str, Pair | None]:
        """The keyword arguments that max and average pooling share."""
        return {"stride": self.stride, "padding": self.padding, "ceil_mode": self.ceil_mode}


POOL2D = [
    Pool2d(1, 1, 1, 1, 1),
    *[Pool2d(2, c, 6, 8, 2) for c in (1, 3, 4, 5, 7, 8, 9, 15, 16, 17, 33)],
    Pool2d(2, 6, 28, 28, 2, 2),
    Pool2d(2, 3, 7, 9, 3, 2, 1),
    Pool2d(1, 4, 7, 7, 3, 1, 1),
    Pool2d(1, 2, 4, 4, 1, 3, 0, 1, True),
    Pool2d(1, 2, 5, 5, 2, 2, 0, 1, True),
    Pool2d(1, 9, 7, 8, (3, 2), (2, 3), (1, 0), 1, True),
    Pool2d(1, 2, 6, 5, 3, 2, 1, 1, True),
    Pool2d(1, 3, 5, 4, (5, 4)),
    Pool2d(1, 2, 2, 2, 3, 2, 0, 1, True),
    Pool2d(1, 1, 20, 20, 16, 4),
    Pool2d(1, 2, 18, 17, 15, 1, 7),
    Pool2d(2, 8, 9, 12, 3, 2, (0, 1)),
    Pool2d(1, 4, 8, 11, 3, 2, (1, 0), 1, True),
    Pool2d(1, 6, 10, 7, 3, 2, 0, 1, True),
    Pool2d(2, 5, 8, 8, 3, 2, 0),
    Pool2d(1, 4, 8, 7, 3, 3, 1),
    Pool2d(1, 4, 6, 5, 2, 2, 1, 1, True),
    Pool2d(1, 2, 5, 4, 2, 1, 1),
]
POOL2D_DILATED = [
    Pool2d(1, 3, 9, 8, 3, 1, 0, 2),
    Pool2d(2, 5, 10, 9, (2, 3), 2, (1, 2), (3, 2)),
    Pool2d(1, 17, 7, 7, 2, 1, 1, 2, True),
]
POOL2D_EMPTY = Pool2d(0, 3, 6, 6, 2)
POOL2D_LARGE = Pool2d(8, 40, 24, 24, 3, 2, 1)
# (H, W, P, Q)
ADAPTIVE = [
    (1, 1, 1, 1),
    (7, 5, 3, 2),
    (4, 4, 1, 1),
    (3, 2, 5, 4),
    (8, 8, 7, 7),
    (6, 6, 3, 2),
    (7, 7, 7, 7),
]
ADAPTIVE_CHANNELS = (1, 4, 7, 16, 33)

BATCH_NORM = [
    (2, 1),
    (17, 3),
    (5, 33),
    (4, 3, 5),
    (2, 16, 1),
    (1, 4, 3, 3),
    (3, 7, 4, 5),
    (2, 16, 3, 3),
    (2, 17, 5, 1),
    (6, 33, 7, 6),
]
BATCH_NORM_LARGE = (8, 40, 20, 20)

# (shape, dim)
SOFTMAX = [
    *[((3, n), 1) for n in (*LANES, 65, 1000, 1500)],
    ((5,), 0),
    ((4, 6), 0),
    ((17, 33), 0),
    ((70, 37), 0),
    ((2, 41, 5), 1),
    ((2, 5, 3, 4), 1),
    ((2, 17, 3, 4), 1),
    ((2, 3, 4, 9), -1),
    ((2, 3, 8, 2), 2),
    ((2, 3, 4), -2),
    ((0, 4), 1),
]
# (N, C)
CROSS_ENTROPY = [
    *[(1, 1), (1, 2), (4, 3), (7, 10), (5, 16), (3, 17), (2, 33), (33, 10), (2, 1000)],
    (3, 1500),
]

# Pairs of shapes that broadcast.
BROADCAST = [
    *[((n,), (n,)) for n in LENGTHS],
    ((3, 5), (5,)),
    ((3, 5), (3, 1)),
    ((3, 1), (1, 5)),
    ((), (4,)),
    ((2, 3, 4, 5), (1, 3, 1, 1)),
    ((2, 3, 4, 5), (3, 1, 1)),
    ((2, 17, 4, 5), (2, 17, 4, 5)),
    ((2, 1, 4), (3, 1)),
    ((9, 300), (300,)),
    ((9, 300), (9, 1)),
    ((3, 1, 5, 1, 2), (4, 1, 6, 1)),
    ((2000, 3), (1,)),
    ((0, 3), (3,)),
]
# (shape, dim)
REDUCE = [
    *[((n,), None) for n in LENGTHS],
    *[((3, n), 1) for n in LANES],
    *[((n, 3), 0) for n in LANES],
    ((3, 4, 5), (0, 2)),
    ((3, 4, 5), -2),
    ((2, 17, 4, 5), (0, 2, 3)),
    ((2, 17, 4, 5), 1),
    ((2, 17, 4, 5), (2, 3)),
    ((2, 17, 4, 5), None),
    ((3, 4), (0, 1)),
    ((), None),
    ((40, 1500), None),
    ((40, 1500), 0),
    ((5, 45), 1),
    ((2, 1030), 1),
    ((2, 20_001), 1),
    ((20_001, 3), 0),
    ((2, 3, 4, 5, 6), (1, 3)),
    ((2, 3, 4, 5, 6), (0, 2, 4)),
    ((900, 3, 11), (0, 2)),
]
