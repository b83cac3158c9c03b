"""What a recorded step looks at before it repeats its kernels: the class in `neurona._core`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from neurona.backends import cpu


@pytest.fixture
def things() -> SimpleNamespace:
    first, second = object(), object()
    return SimpleNamespace(
        owner=SimpleNamespace(name=first), dict={"there": first}, list=[first, second]
    )


@pytest.fixture
def guards(things: SimpleNamespace) -> Any:
    made = cpu.core.Guards()
    made.attribute(things.owner, "name")
    made.entry(things.dict, "there")
    made.entry(things.dict, "not there")
    made.elements(things.list)
    return made


CHANGES: dict[str, Callable[[SimpleNamespace], Any]] = {
    "another attribute": lambda t: setattr(t.owner, "name", object()),
    "no attribute": lambda t: delattr(t.owner, "name"),
    "another value": lambda t: t.dict.update(there=object()),
    "no value": lambda t: t.dict.clear(),
    "a new value": lambda t: t.dict.update({"not there": None}),
    "another element": lambda t: t.list.__setitem__(1, object()),
    "another order": lambda t: t.list.reverse(),
    "one more": lambda t: t.list.append(t.list[0]),
    "one less": lambda t: t.list.pop(),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_changes_are_seen(things: SimpleNamespace, guards: Any, change: Callable[..., Any]) -> None:
    assert guards.hold()
    change(things)
    assert not guards.hold()


def test_equal_is_not_the_same() -> None:
    owner = SimpleNamespace(name=[1])
    guards = cpu.core.Guards()
    guards.attribute(owner, "name")
    owner.name.append(2)
    assert guards.hold()
    owner.name = [1, 2]
    assert not guards.hold()


def test_what_changes_and_comes_back_holds(things: SimpleNamespace, guards: Any) -> None:
    value = things.dict.pop("there")
    assert not guards.hold()
    things.dict["there"] = value
    assert guards.hold()


def test_errors_of_the_objects_are_raised() -> None:
    class Broken:
        works = True

        @property
        def name(self) -> str:
            if self.works:
                return sys.byteorder
            raise ZeroDivisionError

    owner = Broken()
    guards = cpu.core.Guards()
    with pytest.raises(AttributeError, match="no attribute 'other'"):
        guards.attribute(owner, "other")
    with pytest.raises(TypeError, match="unhashable"):
        guards.entry({}, [])
    guards.attribute(owner, "name")
    owner.works = False
    with pytest.raises(ZeroDivisionError):
        guards.hold()


def test_references_go_with_the_guards() -> None:
    value = object()
    before = sys.getrefcount(value)
    guards = cpu.core.Guards()
    guards.attribute(SimpleNamespace(name=value), "name")
    guards.elements([value])
    guards.entry({"key": value}, "key")
    for _ in range(10):
        assert guards.hold()
    assert sys.getrefcount(value) == before + 6
    del guards
    assert sys.getrefcount(value) == before
