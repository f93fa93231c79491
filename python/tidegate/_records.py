"""Small records that cross the border as named tuples: a plain tuple of the same fields does as well."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from tidegate._enums import Gate, RequestState


class DevicePart(NamedTuple):
    """The part of one device that a worker takes."""

    device: int
    part_ppm: int = 1_000_000
    """How much of each unit used on the worker is used on the device, in parts per million."""


class Rate(NamedTuple):
    """How much of something comes in a period, and how much of it can be saved up."""

    amount: int
    """What comes in a period, evenly; 0 for nothing ever."""
    period_ns: int
    burst: int
    """The most that is saved up."""


class StepException(NamedTuple):
    """What one request on a worker reports of a step, where it is not the same as of all others."""

    request: int
    attempt: int
    output_tokens: int
    """Tokens generated so far."""
    in_use: Mapping[str, int] | Iterable[int]
    """Units it takes now."""


class PromptLeft(NamedTuple):
    """Tokens of a request's prompt: those left to compute, or those to compute in the next step."""

    request: int
    tokens: int


class Explanation(NamedTuple):
    """Why a request is where it is."""

    state: RequestState
    gate: Gate | None
    """What holds it back; `None` if it runs, or starts when polled."""
    ahead: int
    """Requests of its tier and pool that are offered a start before it."""
    starts_at_ns: int | None
    """When it may start, if starts of its tier go on as the last ones did; `None` if it runs, or none is known."""


class ShareWarning(NamedTuple):
    """A reserve that came out more than ten points off what was asked for: units are whole."""

    pool: str
    tier: str
    dimension: str
    asked_ppm: int
    """What the config asks for, in parts per million of the present capacity."""
    effective_ppm: int
    """What the tier has, likewise."""
