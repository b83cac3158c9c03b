"""Names the layer in the message of an error raised inside it: `Linear 'fc1': expected ...`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .module import Module


def name_layer(module: Module, error: TypeError | ValueError, args: tuple[Any, ...]) -> None:
    """Put the layer into the message of `error`, which is on its way out of `module`.

    The innermost module writes the text; every module further out knows a longer path to that layer
    and rewrites the prefix, so that the user sees the path from the model. Only messages made of
    one string are touched.
    """
    if len(error.args) != 1 or not isinstance(error.args[0], str):
        return
    origin = getattr(error, "layer", None)
    if origin is None:
        text = _describe(module, error.args[0], args)
        error.layer = (module, text)  # type: ignore[union-attr]
        error.args = (f"{type(module).__name__}: {text}",)
        return
    layer, text = origin
    for path, candidate in module.named_modules():
        if candidate is layer and path:
            error.args = (f"{type(layer).__name__} '{path}': {text}",)
            return


def _describe(module: Module, message: str, args: tuple[Any, ...]) -> str:
    shape = getattr(args[0], "shape", None) if args else None
    expected = module._expected_input(tuple(shape)) if shape is not None else None
    if expected is None:
        return message
    return f"expected input {expected}, got {tuple(shape)}"  # type: ignore[arg-type]
