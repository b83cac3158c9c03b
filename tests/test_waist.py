"""The waist: every backend has the functions of docs/kernels.md, with the same arguments."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

import pytest

import neurona._core as core
import neurona.reference as reference

DOCUMENT = Path(__file__).parents[1] / "docs" / "kernels.md"


def documented() -> dict[str, str]:
    """Name and arguments of every function in the indented blocks of the document."""
    blocks = "\n".join(
        line for line in DOCUMENT.read_text().splitlines() if line.startswith("    ")
    )
    found = dict(re.findall(r"\b([a-z]\w+)\(((?:[^()]|\([^()]*\))*)\)", blocks))
    functions = {name: " ".join(arguments.split()) for name, arguments in found.items()}
    return {
        **{name: text for name, text in functions.items() if hasattr(reference, name)},
        "min_pool2d_forward": functions["max_pool2d_forward"],
        "min_pool2d_backward": functions["max_pool2d_backward"],
    }


FUNCTIONS = documented()


def arguments(text: str) -> list[tuple[str, str]]:
    """(name, default) of each argument, with the marker "*" for the keyword-only ones."""
    parts = [part.strip() for part in re.split(r",(?![^()]*\))", text)]
    named = [part.partition("=") for part in parts]
    return [
        (name, repr(ast.literal_eval(default)) if default else "") for name, _, default in named
    ]


def in_words(signature: inspect.Signature) -> list[tuple[str, str]]:
    """The same list from a Python signature."""
    listed: list[tuple[str, str]] = []
    for parameter in signature.parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY and ("*", "") not in listed:
            listed.append(("*", ""))
        default = parameter.default
        listed.append((parameter.name, "" if default is parameter.empty else repr(default)))
    return listed


def test_the_reference_has_exactly_the_documented_functions() -> None:
    """No function is missing and none is there that the document does not name."""
    assert set(reference.__all__) == set(FUNCTIONS)


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_signatures_are_those_of_the_document(name: str) -> None:
    """Names, order, defaults and keyword-only arguments."""
    assert in_words(inspect.signature(getattr(reference, name))) == arguments(FUNCTIONS[name])


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_the_extension_has_the_function_with_the_same_arguments(name: str) -> None:
    """The binding's docstring lists the arguments of the reference in the same order."""
    binding = getattr(core, name)
    first_line = (binding.__doc__ or "").splitlines()[0]
    listed = re.match(r"\w+\((.*)\)", first_line)
    assert listed, first_line
    names = re.findall(r"(?:^|, )(\*?\w*)(?=[:,=]|$)", re.sub(r"\[[^\]]*\]", "", listed[1]))
    expected = [n for n, _ in in_words(inspect.signature(getattr(reference, name)))]
    assert names == expected, first_line


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_every_function_is_documented(name: str) -> None:
    """Public docstrings say what is computed; those of the reference hold a runnable example."""
    text = inspect.getdoc(getattr(reference, name)) or ""
    assert ">>>" in text
    assert "Raises" in text or "otherwise as" in text or "as `" in text
    assert len((getattr(core, name).__doc__ or "").splitlines()) > 1
