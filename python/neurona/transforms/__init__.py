"""Random changes of training images that leave their class as it is, a whole batch at a time.

>>> import numpy as np
>>> from neurona import Generator
>>> augment = RandomAffine(degrees=10, translate=(0.1, 0.1), generator=Generator(0))
>>> augment(np.ones((2, 1, 28, 28), np.float32)).shape
(2, 1, 28, 28)
"""

from __future__ import annotations

from .affine import RandomAffine
from .augmented import Augmented
from .elastic import ElasticTransform
from .sample import affine

__all__ = ["Augmented", "ElasticTransform", "RandomAffine", "affine"]
