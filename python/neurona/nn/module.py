"""Module: parameters, buffers and submodules by name, state_dict, modes, hooks.

The values live in the instance's `__dict__`, so that `self.weight` is an ordinary attribute access;
`_kinds` only remembers which names are parameters, buffers or modules, in order of definition.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Self

import numpy as np

from ..tensor import Tensor
from ..tensor.convert import moved
from .hooks import HookTable, RemovableHandle, add_hook
from .layer_errors import name_layer
from .parameter import Parameter
from .state import IncompatibleKeys, load, named_state

_changes = [0]  # see Module.changes


class Module:
    """Base class of layers and models: set parameters and layers in `__init__`, code `forward`.

    Calling the module runs `forward`. A TypeError or ValueError raised inside names the layer by
    its path in the model.

    >>> import neurona
    >>> from neurona import nn
    >>> class Net(nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.fc = nn.Linear(4, 2)
    ...     def forward(self, x):
    ...         return self.fc(x).relu()
    >>> Net()(neurona.zeros(3, 4)).shape
    (3, 2)
    >>> list(Net().state_dict())
    ['fc.weight', 'fc.bias']
    """

    training: bool
    _kinds: dict[str, str]
    _transient: set[str]
    _hooks: HookTable | None

    def __init__(self) -> None:
        # Straight into __dict__, since __setattr__ needs `_kinds`; most modules never have hooks.
        self.__dict__.update(training=True, _kinds={}, _transient=set(), _hooks=None)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the output; every module overrides this."""
        raise NotImplementedError(f"{type(self).__name__}: forward is not defined")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        try:
            if self._hooks is None:
                if len(args) == 1 and not kwargs:  # by far the most frequent call, and the quickest
                    return self.forward(args[0])
                return self.forward(*args, **kwargs)
            return self._hooks.call(self, args, kwargs)
        except (TypeError, ValueError) as error:
            name_layer(self, error, args)
            raise

    def _expected_input(self, shape: tuple[int, ...]) -> str | None:
        """The layout this layer takes, where `shape` does not fit it; asked only while an error is
        on its way out.
        """
        return None

    # ---- registration ----

    @staticmethod
    def changes() -> int:
        """How often an attribute of any module was bound to another object, or deleted."""
        return _changes[0]

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, Parameter):
            kind = "parameter"
        elif isinstance(value, Module):
            kind = "module"
        else:
            known = self.__dict__.get("_kinds", {}).get(name)
            is_buffer = known == "buffer" and isinstance(value, Tensor)
            if known is not None and value is not None and not is_buffer:
                wanted = {"parameter": "Parameter", "module": "Module", "buffer": "Tensor"}[known]
                raise TypeError(
                    f"{type(self).__name__}: {name} must be a {wanted} or None, "
                    f"got {type(value).__name__}"
                )
            self._bind(name, value)
            return
        self._register(name, value, kind)

    def _bind(self, name: str, value: Any) -> None:
        if self.__dict__.get(name, _changes) is not value:
            _changes[0] += 1
        object.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        _changes[0] += 1
        object.__delattr__(self, name)
        self._kinds.pop(name, None)
        self._transient.discard(name)

    def _register(self, name: str, value: Any, kind: str) -> None:
        kinds = self.__dict__.get("_kinds")
        if kinds is None:
            raise RuntimeError(
                f"{type(self).__name__}: call super().__init__() before assigning {name}"
            )
        if kinds.get(name) != kind:
            kinds.pop(name, None)
            kinds[name] = kind
        self._bind(name, value)

    def _check_new_name(self, name: str, kind: str) -> None:
        if not isinstance(name, str):
            raise TypeError(
                f"{type(self).__name__}: the name of a {kind} must be a str, "
                f"got {type(name).__name__}"
            )
        if not name or "." in name:
            raise ValueError(
                f"{type(self).__name__}: the name of a {kind} must be non-empty without '.', "
                f"got {name!r}"
            )
        if hasattr(self, name) and self._kinds.get(name) != kind:
            raise ValueError(f"{type(self).__name__}: {name!r} is already an attribute")

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Register a parameter; None keeps the name's place without an entry in the state_dict."""
        self._check_new_name(name, "parameter")
        if param is not None and not isinstance(param, Parameter):
            raise TypeError(
                f"register_parameter: {name} must be a Parameter or None, "
                f"got {type(param).__name__}"
            )
        self._register(name, param, "parameter")

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Register a tensor that belongs to the state but is not learned; `persistent=False` keeps
        it out of the state_dict.
        """
        self._check_new_name(name, "buffer")
        if tensor is not None and not isinstance(tensor, Tensor):
            raise TypeError(
                f"register_buffer: {name} must be a Tensor or None, got {type(tensor).__name__}"
            )
        self._register(name, tensor, "buffer")
        if persistent:
            self._transient.discard(name)
        else:
            self._transient.add(name)

    def add_module(self, name: str, module: Module | None) -> None:
        """Register a submodule under `name`."""
        self._check_new_name(name, "module")
        if module is not None and not isinstance(module, Module):
            raise TypeError(
                f"add_module: {name} must be a Module or None, got {type(module).__name__}"
            )
        self._register(name, module, "module")

    register_module = add_module

    def _members(self, kind: str) -> list[tuple[str, Any]]:
        values = self.__dict__
        return [(name, values[name]) for name, own in self._kinds.items() if own == kind]

    @property
    def _parameters(self) -> Mapping[str, Parameter | None]:
        return MappingProxyType(dict(self._members("parameter")))

    @property
    def _buffers(self) -> Mapping[str, Tensor | None]:
        return MappingProxyType(dict(self._members("buffer")))

    @property
    def _modules(self) -> Mapping[str, Module | None]:
        return MappingProxyType(dict(self._members("module")))

    # ---- traversal ----

    def named_modules(
        self, memo: set[Module] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Module]]:
        """This module (path `prefix`) and all below it, parents first; a shared module comes once
        unless told otherwise.
        """
        seen: set[Module] = set() if memo is None else memo
        if self in seen:
            return
        if remove_duplicate:
            seen.add(self)
        yield prefix, self
        for name, module in self._members("module"):
            if module is not None:
                yield from module.named_modules(
                    seen, f"{prefix}.{name}" if prefix else name, remove_duplicate
                )

    def modules(self, remove_duplicate: bool = True) -> Iterator[Module]:
        """This module and all below it."""
        return (module for _, module in self.named_modules(remove_duplicate=remove_duplicate))

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The direct submodules, each once."""
        seen: set[Module] = set()
        for name, module in self._members("module"):
            if module is not None and module not in seen:
                seen.add(module)
                yield name, module

    def children(self) -> Iterator[Module]:
        """The direct submodules, each once."""
        return (module for _, module in self.named_children())

    def _named_tensors(
        self, kind: str, prefix: str, recurse: bool, remove_duplicate: bool
    ) -> Iterator[tuple[str, Any]]:
        owners = (
            self.named_modules(prefix=prefix, remove_duplicate=remove_duplicate)
            if recurse
            else iter([(prefix, self)])
        )
        seen: set[int] = set()
        for path, owner in owners:
            for name, tensor in owner._members(kind):
                if tensor is None or id(tensor) in seen:
                    continue
                if remove_duplicate:
                    seen.add(id(tensor))
                yield f"{path}.{name}" if path else name, tensor

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """Parameters with their paths; one that is shared comes once, under its first path."""
        return self._named_tensors("parameter", prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """Parameters, each once: what an optimizer takes."""
        return (parameter for _, parameter in self.named_parameters(recurse=recurse))

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """Buffers with their paths."""
        return self._named_tensors("buffer", prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """Buffers, each once."""
        return (buffer for _, buffer in self.named_buffers(recurse=recurse))

    def get_submodule(self, target: str) -> Module:
        """The submodule at the dotted path `target`; raises ValueError naming the part that is
        missing.
        """
        module: Module = self
        for part in target.split(".") if target else []:
            found = module.__dict__.get(part) if module._kinds.get(part) == "module" else None
            if found is None:
                raise ValueError(
                    f"get_submodule: target must name submodules, got {target!r}, "
                    f"but {type(module).__name__} has no {part!r}"
                )
            module = found
        return module

    def get_parameter(self, target: str) -> Parameter:
        """The parameter at the dotted path `target`; raises ValueError when there is none."""
        path, _, name = target.rpartition(".")
        owner = self.get_submodule(path)
        if owner._kinds.get(name) != "parameter":
            raise ValueError(
                f"get_parameter: {type(owner).__name__} has no parameter {name!r}, got {target!r}"
            )
        return owner.__dict__[name]

    def apply(self, fn: Callable[[Module], None]) -> Self:
        """Call `fn` on every submodule and then on this one."""
        for module in self.children():
            module.apply(fn)
        fn(self)
        return self

    # ---- state ----

    def state_dict(
        self,
        *,
        destination: dict[str, Tensor] | None = None,
        prefix: str = "",
        keep_vars: bool = False,
    ) -> dict[str, Tensor]:
        """Parameters and persistent buffers by path; the tensors share memory with the module and
        carry no graph.
        """
        state = {} if destination is None else destination
        for name, tensor in named_state(self, prefix):
            state[name] = tensor if keep_vars else tensor.detach()
        return state

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> IncompatibleKeys:
        """Copy Tensors or arrays into this module, in place; with `assign=True` share their memory
        instead.

        Raises one ValueError listing every missing, unexpected or misshapen key (TypeError when
        only kinds of dtype differ); the module is then unchanged. `strict=False` tolerates missing
        and unexpected keys and returns them.
        """
        return load(self, state_dict, strict, assign)

    def train(self, mode: bool = True) -> Self:
        """Switch to training mode (or, with False, to evaluation): dropout and batch norm behave
        differently.
        """
        if not isinstance(mode, bool):
            raise TypeError(f"train: mode must be a bool, got {type(mode).__name__}")
        self.training = mode
        for module in self.children():
            module.train(mode)
        return self

    def eval(self) -> Self:
        """Switch to evaluation mode."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Let all parameters take part in backward, or freeze them."""
        for parameter in self.parameters():
            parameter.requires_grad = requires_grad
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters (or fill them with zeros)."""
        for parameter in self.parameters():
            if set_to_none:
                parameter.grad = None
            elif parameter.grad is not None:
                parameter.grad = Tensor(np.zeros_like(parameter.grad.data))

    def to(
        self, *args: Any, dtype: Any = None, device: Any = None, non_blocking: bool = False
    ) -> Self:
        """Convert floating-point parameters and buffers to `dtype` and move them to `device`, in
        place: `to(dtype)`, `to("cuda")`, `to("cpu", dtype)`. `non_blocking` as in `Tensor.to`.

        Raises TypeError for another dtype than float32 and float64, ValueError for another device
        than "cpu" and "cuda", RuntimeError where there is no CUDA device. Optimizers made before go
        on with the same parameters, but their buffers stay where they are: make them afterwards.
        """
        for value in args:
            if isinstance(value, str) and not value.startswith("float"):
                device = value
            else:
                dtype = value
        target = None if dtype is None else np.dtype(dtype)
        if target is not None and target not in (np.float32, np.float64):
            raise TypeError(f"to: dtype must be float32 or float64, got {target}")

        def converted(array: Any) -> Any:
            if target is not None and array.dtype.kind == "f" and array.dtype != target:
                array = array.astype(target)
            # Integer buffers are counters, which Python reads and writes.
            stays = device is None or array.dtype.kind != "f"
            return array if stays else moved("to", array, device)

        tensors = [*self.parameters(), *self.buffers()]
        # All of them first: nothing has changed when one of them cannot be converted.
        arrays = [converted(tensor.data) for tensor in tensors]
        for tensor, array in zip(tensors, arrays, strict=True):
            if array is not tensor.data:
                tensor.data = array
                if tensor.grad is not None:
                    tensor.grad = Tensor(converted(tensor.grad.data))
        return self

    def float(self) -> Self:
        """Convert to float32."""
        return self.to(np.float32)

    def double(self) -> Self:
        """Convert to float64, which runs on the exact, slow NumPy reference."""
        return self.to(np.float64)

    def cpu(self) -> Self:
        """Move all parameters and buffers to the CPU."""
        return self.to("cpu")

    def cuda(self) -> Self:
        """Move all parameters and buffers to the CUDA device."""
        return self.to("cuda")

    # ---- hooks, printing ----

    def _hook_table(self) -> HookTable:
        table = self._hooks
        if table is None:
            table = HookTable()
            self._hooks = table
        return table

    def register_forward_pre_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Call `hook(module, args)` before forward; a result other than None replaces the
        arguments.
        """
        return add_hook(self._hook_table().before, hook, prepend=prepend, with_kwargs=with_kwargs)

    def register_forward_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Call `hook(module, args, output)` after forward; a result other than None replaces the
        output.
        """
        return add_hook(self._hook_table().after, hook, prepend=prepend, with_kwargs=with_kwargs)

    def extra_repr(self) -> str:
        """The arguments shown in the printed form of this layer."""
        return ""

    def __repr__(self) -> str:
        extra = self.extra_repr()
        lines = []
        for name, module in self._members("module"):
            lines.append(f"  ({name}): " + repr(module).replace("\n", "\n  "))
        if not lines:
            return f"{type(self).__name__}({extra})"
        return f"{type(self).__name__}({extra}\n" + "\n".join(lines) + "\n)"
