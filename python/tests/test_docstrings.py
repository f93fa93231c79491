"""Whatever is public says what it does, and names each of its parameters."""

import dataclasses
import enum
import importlib
import inspect
import re
from collections.abc import Callable, Iterator

import pytest

import tidegate

MODULES = [
    *("tidegate", "tidegate.arrays", "tidegate.deployment"),
    *("tidegate.journal", "tidegate.kubernetes", "tidegate.redis"),
]


def public(module: str) -> Iterator[tuple[str, object]]:
    """The names that the module gives away, and what they stand for."""
    found = importlib.import_module(module)
    for name in found.__all__:
        yield f"{module}.{name}", getattr(found, name)


def members(owner: type) -> Iterator[tuple[str, object]]:
    """The public methods and properties of the class's own."""
    for name, member in vars(owner).items():
        if not name.startswith("_") and (callable(member) or inspect.isdatadescriptor(member) or is_static(member)):
            yield name, getattr(owner, name)


def is_static(member: object) -> bool:
    return isinstance(member, staticmethod | classmethod)


def is_record(item: type) -> bool:
    """Whether it is made of fields: an interpreter keeps no text of these."""
    return issubclass(item, tuple) or dataclasses.is_dataclass(item)


def documented() -> Iterator[tuple[str, object, str]]:
    """Every public class, function, method and property, and what stands above it."""
    for module in MODULES:
        for name, item in public(module):
            if inspect.isclass(item):
                yield name, item, ""
                if issubclass(item, enum.Enum) or is_record(item):
                    continue  # members are values, fields are told in the source
                for member_name, member in members(item):
                    yield f"{name}.{member_name}", member, inspect.getdoc(item) or ""
            elif callable(item) and not isinstance(item, str):
                yield name, item, ""


ITEMS = {name: (item, above) for name, item, above in documented()}


def parameters(item: object) -> list[str]:
    """The names of the parameters but `self`, those of a class by what makes one."""
    if not isinstance(item, Callable) or (isinstance(item, type) and issubclass(item, Exception | enum.Enum)):
        return []
    try:
        signature = inspect.signature(item)
    except ValueError:
        return []  # it cannot be called from Python
    return [name for name in signature.parameters if name != "self"]


def unnamed(item: object, above: str) -> list[str]:
    """The parameters that neither the text of the item nor that of its class names, and that are no property either."""
    known = set(re.findall(r"\w+", f"{inspect.getdoc(item) or ''} {above}"))
    return [name for name in parameters(item) if name not in known and not hasattr(item, name)]


@pytest.mark.parametrize("name", sorted(ITEMS))
def test_it_says_what_it_does(name: str) -> None:
    item, above = ITEMS[name]
    text = inspect.getdoc(item)
    assert text, f"{name} has no docstring"
    if not (isinstance(item, type) and is_record(item)):
        assert unnamed(item, above) == [], f"{name} does not say what these are"


def test_the_walk_finds_what_it_is_for() -> None:
    assert len(ITEMS) > 150
    assert {"tidegate.Scheduler.submit", "tidegate.Start.worker", "tidegate.arrays.poll"} <= ITEMS.keys()

    def silent(tokens: int, now_ns: int) -> None:
        """Does something at `now_ns`."""

    assert unnamed(silent, "") == ["tokens"]
    assert unnamed(silent, "tokens of a prompt") == []
    assert tidegate.__doc__
