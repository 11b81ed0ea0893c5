"""Figures, what they are compared with, and the table they stand in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import NamedTuple


class Unit(NamedTuple):
    """How a value is printed: multiplied, with so many digits, and its name."""

    scale: float
    digits: int
    name: str


UNITS = {
    "s": Unit(1, 2, "s"),
    "cpu": Unit(1, 2, "CPU s"),
    "cpuMs": Unit(1e3, 0, "CPU ms"),
    "request": Unit(1e3, 2, "CPU ms"),
    "ms": Unit(1e3, 1, "ms"),
    "us": Unit(1e6, 0, "µs"),
    "bytes": Unit(1e-6, 2, "MB"),
    "memory": Unit(1e-6, 0, "MB"),
    "times": Unit(1, 2, "x"),
    "count": Unit(1, 0, ""),
}
"""Values are in seconds, bytes (1 MB is 10^6) or plain ratios."""


@dataclass(frozen=True)
class Figure:
    """One line of the table. `values` are one for each run, or a single one.

    `bound` and `reference` are in the unit of the values; `reference` may be a text.
    Without `has_bound_size` the sizes are not those that the bound is for.
    """

    row: int
    name: str
    unit: str
    values: tuple[float, ...]
    bound: float | None = None
    reference: str = ""
    has_bound_size: bool = True

    @property
    def value(self) -> float:
        """The median."""
        return median(self.values)

    @property
    def is_met(self) -> bool | None:
        """Whether the median keeps within the bound; None where none applies."""
        if self.bound is None or not self.has_bound_size:
            return None
        return self.value <= self.bound

    @property
    def data(self) -> dict[str, object]:
        """For other programs: seconds, bytes and ratios, never rounded."""
        return {
            "row": self.row,
            "name": self.name,
            "unit": {"cpuMs": "cpu", "request": "cpu", "ms": "s", "us": "s", "memory": "bytes"}.get(
                self.unit, self.unit
            ),
            "median": self.value,
            "min": min(self.values),
            "max": max(self.values),
            "runs": len(self.values),
            "bound": self.bound,
            "reference": self.reference,
            "isMet": self.is_met,
        }


def shown(value: float, unit: str) -> str:
    """A value in its unit."""
    scale, digits, name = UNITS[unit]
    return f"{value * scale:.{digits}f} {name}".rstrip()


def line(figure: Figure) -> str:
    """One line of the table."""
    scale, digits, _ = UNITS[figure.unit]
    ours = shown(figure.value, figure.unit)
    if len(figure.values) > 1:
        low, high = (f"{end(figure.values) * scale:.{digits}f}" for end in (min, max))
        ours += f" ({low}-{high})"
    bound = "" if figure.bound is None else f"<= {shown(figure.bound, figure.unit)}"
    met = {None: "", True: "yes", False: "**no**"}[figure.is_met]
    cells = (str(figure.row), figure.name, ours, bound, met, figure.reference)
    return f"| {' | '.join(cells)} |"


def table(figures: Iterable[Figure]) -> str:
    """All of them, in Markdown."""
    head = "| row | what | Perstack: median (min-max) | bound | met | reference |"
    return "\n".join([head, "|---|---|---|---|---|---|", *map(line, figures)])


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` of all values do not pass."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]
