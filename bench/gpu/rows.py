"""All rows, in the order in which they run: should the time not suffice, the last are missing."""

from __future__ import annotations

from . import convolutions, image_rows, losses, memory, optimizers, products, steps, sums

TOPICS = {
    "Memory": memory.ROWS,
    "Products": products.ROWS,
    "Steps": steps.ROWS,
    "Convolutions": convolutions.ROWS,
    "Sums and softmax": sums.ROWS,
    "Images": image_rows.ROWS,
    "Losses": losses.ROWS,
    "Optimizers": optimizers.ROWS,
}
ROWS = {name: make for rows in TOPICS.values() for name, make in rows.items()}
