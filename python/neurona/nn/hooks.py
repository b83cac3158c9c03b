"""Forward hooks: functions that see, and may replace, the input or the output of a module."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, Self

_keys = itertools.count()


class RemovableHandle:
    """Removes one hook; also a context manager that removes it on leaving."""

    def __init__(self, table: dict[int, tuple[Callable[..., Any], bool]], key: int) -> None:
        self._table = table
        self._key = key

    def remove(self) -> None:
        """Take the hook off; doing it twice is harmless."""
        self._table.pop(self._key, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.remove()


class HookTable:
    """The hooks of one module, in calling order."""

    def __init__(self) -> None:
        self.before: dict[int, tuple[Callable[..., Any], bool]] = {}
        self.after: dict[int, tuple[Callable[..., Any], bool]] = {}

    def call(self, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run the hooks round `module.forward`; a hook may remove hooks, hence the copies."""
        for hook, with_kwargs in tuple(self.before.values()):
            if with_kwargs:
                changed = hook(module, args, kwargs)
                if changed is not None:
                    args, kwargs = changed
            else:
                changed = hook(module, args)
                if changed is not None:
                    args = changed if isinstance(changed, tuple) else (changed,)
        output = module.forward(*args, **kwargs)
        for hook, with_kwargs in tuple(self.after.values()):
            changed = (
                hook(module, args, kwargs, output) if with_kwargs else hook(module, args, output)
            )
            if changed is not None:
                output = changed
        return output


def add_hook(
    table: dict[int, tuple[Callable[..., Any], bool]],
    hook: Callable[..., Any],
    *,
    prepend: bool,
    with_kwargs: bool,
) -> RemovableHandle:
    """Put `hook` last (or first) in `table` and return the handle that removes it."""
    if not callable(hook):
        raise TypeError(f"register hook: hook must be callable, got {type(hook).__name__}")
    later = dict(table) if prepend else {}
    if prepend:
        table.clear()
    key = next(_keys)
    table[key] = (hook, with_kwargs)
    table.update(later)
    return RemovableHandle(table, key)
