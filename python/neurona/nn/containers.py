"""Sequential and ModuleList: modules kept in order under the names "0", "1", ..."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Self, overload

from .activation import ReLU
from .fusion import (
    fusable,
    swappable,
    through_linears,
    through_linears_and_relu,
    with_relu,
    with_relu_and_pool,
)
from .linear import Linear
from .module import Module
from .shape import Identity


def _is_plain_relu(layer: Module) -> bool:
    return type(layer) is ReLU and layer._hooks is None


def _linears_and_relus(layers: list[Module]) -> list[Any]:
    """Linear layers at the beginning that have a ReLU between each two, and last whether there is
    one behind them; empty if there is but one of them.
    """
    found: list[Any] = []
    for place in range(0, len(layers), 2):
        if type(layers[place]) is not Linear or not fusable(layers[place]):
            break
        found.append(layers[place])
        if not (place + 1 < len(layers) and _is_plain_relu(layers[place + 1])):
            return [*found, False] if len(found) > 1 else []
    return [*found, True] if len(found) > 1 else []


class _Chain:
    """What a Sequential calls, and with which layers before the input, as long as no attribute of
    any module changes. Copies and pickles are without it: a shallow copy may change on its own.
    """

    __slots__ = ("calls", "key")

    def __init__(self, key: Any = None, layers: Iterable[Module] = ()) -> None:
        self.key = key
        self.calls: list[tuple[Callable[..., Any], tuple[Module, ...]]] = []
        left = [layer for layer in layers if type(layer) is not Identity or layer._hooks]
        while left:
            if linears := _linears_and_relus(left):
                *chain, ends_with_relu = linears
                del left[: 2 * len(chain) - (not ends_with_relu)]
                call = through_linears_and_relu if ends_with_relu else through_linears
                self.calls.append((call, tuple(chain)))
                continue
            layer = left.pop(0)
            if not (fusable(layer) and left and _is_plain_relu(left[0])):
                self.calls.append((layer, ()))
                continue
            left.pop(0)
            if left and swappable(left[0]):
                self.calls.append((with_relu_and_pool, (layer, left.pop(0))))
            else:
                self.calls.append((with_relu, (layer,)))

    def __reduce__(self) -> tuple[type[_Chain], tuple[()]]:
        return _Chain, ()


class _ModuleSequence(Module):
    """What Sequential and ModuleList share: list access to the submodules."""

    def _layers(self) -> list[Module]:
        return [module for _, module in self._members("module")]

    def __len__(self) -> int:
        return len(self._layers())

    def __iter__(self) -> Iterator[Module]:
        return iter(self._layers())

    @overload
    def __getitem__(self, index: slice) -> Self: ...
    @overload
    def __getitem__(self, index: int) -> Module: ...
    def __getitem__(self, index: int | slice) -> Module | Self:
        if isinstance(index, slice):
            part = type(self)()
            for name, module in self._members("module")[index]:
                part.add_module(name if isinstance(self, Sequential) else str(len(part)), module)
            return part
        return self._layers()[index]

    def __setitem__(self, index: int, module: Module) -> None:
        name = self._members("module")[index][0]
        if not isinstance(module, Module):
            raise TypeError(
                f"{type(self).__name__}: item must be a Module, got {type(module).__name__}"
            )
        setattr(self, name, module)

    def __delitem__(self, index: int | slice) -> None:
        layers = self._layers()
        del layers[index]
        self._replace(layers)

    def _replace(self, layers: Iterable[Module]) -> None:
        for name, _ in self._members("module"):
            delattr(self, name)
        for module in layers:
            self.append(module)

    def append(self, module: Module) -> Self:
        """Add `module` at the end."""
        self.add_module(str(len(self)), module)
        return self

    def extend(self, modules: Iterable[Module]) -> Self:
        """Add all of `modules` at the end."""
        for module in list(modules):
            self.append(module)
        return self

    def insert(self, index: int, module: Module) -> Self:
        """Put `module` before position `index`; the names of the later ones move up."""
        if not isinstance(module, Module):
            raise TypeError(
                f"{type(self).__name__}: item must be a Module, got {type(module).__name__}"
            )
        layers = self._layers()
        layers.insert(index, module)
        self._replace(layers)
        return self

    def pop(self, index: int = -1) -> Module:
        """Remove and return the module at `index`."""
        module = self._layers()[index]
        del self[index]
        return module


class Sequential(_ModuleSequence):
    """Calls its modules one after another: y = f_n(...f_2(f_1(x))).

    Takes modules, named "0", "1", ..., or one mapping name -> module.

    >>> import neurona
    >>> from neurona import nn
    >>> net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    >>> net(neurona.zeros(5, 4)).shape
    (5, 2)
    >>> list(net.state_dict())
    ['0.weight', '0.bias', '2.weight', '2.bias']
    """

    def __init__(self, *args: Module | Mapping[str, Module]) -> None:
        super().__init__()
        if len(args) == 1 and isinstance(args[0], Mapping):
            for name, module in args[0].items():
                self.add_module(name, module)
            return
        for position, item in enumerate(args):
            if not isinstance(item, Module):
                raise TypeError(
                    f"Sequential: item {position} must be a Module, got {type(item).__name__}"
                )
            self.add_module(str(position), item)

    def forward(self, input: Any) -> Any:
        """Run the chain; a Linear, Conv2d or batch norm and the ReLU behind it run as one, to the
        same bits, and a max pooling behind them may change places with the ReLU.
        """
        key = (Module.changes(), id(self))
        chain = self.__dict__.get("_chain")
        if chain is None or chain.key != key:
            chain = self.__dict__["_chain"] = _Chain(key, self._layers())
        for call, layers in chain.calls:
            input = call(*layers, input)
        return input


class ModuleList(_ModuleSequence):
    """A list of modules that the parent module sees; it has no forward of its own.

    >>> from neurona import nn
    >>> layers = nn.ModuleList([nn.Linear(4, 4) for _ in range(3)])
    >>> len(layers), len(list(layers.parameters()))
    (3, 6)
    """

    def __init__(self, modules: Iterable[Module] | None = None) -> None:
        super().__init__()
        if modules is not None:
            self.extend(modules)
