"""How the report words things: units, formulas, numbers and objectives, all HTML-safe."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from ray_matdesign.config.objective import (
    AscendingTransform,
    DescendingTransform,
    DoubleSigmoidTransform,
    ObjectiveFilter,
    ObjectiveTerm,
    ReverseSigmoidTransform,
    SigmoidTransform,
    StepTransform,
    TargetTransform,
)
from ray_matdesign.config.schema import RunConfig


@dataclass(frozen=True)
class Property:
    """A scored property as a reader knows it.

    Attributes:
        name: Scorer name, the key in files.
        label: In words, for titles and axes; plain text.
        unit: Typeset, e.g. ``g/cm³``; empty for pure numbers, ``None`` where the run directory
            does not tell it.
        source: Where the numbers come from; empty where the run directory does not tell.
    """

    name: str
    label: str
    unit: str | None
    source: str = ""

    @property
    def axis(self) -> str:
        """Axis title: label and unit."""
        if self.unit is None:
            return f"{self.label} (unit not recorded)"
        return f"{self.label} ({self.unit})" if self.unit else self.label

    @property
    def in_text(self) -> str:
        """The label within a sentence: lower case, unless it begins with a name."""
        kept = self.label.startswith("Herfindahl")
        return self.label if kept else self.label[:1].lower() + self.label[1:]

    @property
    def one(self) -> str:
        """The label within a sentence, with its article."""
        return f"{'an' if self.in_text[:1] in 'aeiou' else 'a'} {self.in_text}"

    @property
    def suffix(self) -> str:
        """What follows a number: a space and the unit, or nothing."""
        return f" {self.unit}" if self.unit else ""


LABELS: dict[str, str] = {
    "density": "Mass density",
    "hhi": "Herfindahl–Hirschman index",
    "price": "Price of the elements",
    "abundance": "Crustal abundance",
    "formation_energy": "Formation energy",
    "e_above_hull": "Energy above the hull",
    "magnetic_density": "Magnetic density",
    "bulk_modulus": "Bulk modulus",
    "shear_modulus": "Shear modulus",
    "youngs_modulus": "Young’s modulus",
    "pugh_ratio": "Pugh ratio",
    "heat_capacity": "Heat capacity",
    "band_gap": "Band gap",
    "dielectric": "Dielectric constant (estimate)",
    "figure_of_merit": "Figure of merit (estimate)",
    "synthesizability": "Synthesizability",
    "mcia": "Coincident interface area",
    "dft_band_gap": "Band gap by DFT",
    "dft_formation_energy": "Formation energy by DFT",
}
"""What the scorers shipped here measure, in words; others are called by their names."""

_SUPERSCRIPTS = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")


def property_of(scorer: str, unit: str | None = None, source: object = "") -> Property:
    """A scorer's label, unit and source.

    Args:
        scorer: Its name or import path.
        unit: As the run recorded it.
        source: As the run recorded it.
    """
    label = LABELS.get(scorer, _title(scorer))
    return Property(scorer, label, None if unit is None else typeset_unit(unit), str(source or ""))


def typeset_unit(unit: str) -> str:
    """``mu_B/A^3`` becomes ``μB/Å³``; unknown spellings stay as they are."""
    text = unit.replace("mu_B", "μB").replace("Angstrom", "Å")
    text = re.sub(r"\bA(?=\^|\d|\b)", "Å", text)
    text = re.sub(r"log10", "log₁₀", text)
    return re.sub(r"(?<=[A-Za-zÅ])\^?(-?\d)\b", lambda m: m.group(1).translate(_SUPERSCRIPTS), text)


def _title(scorer: str) -> str:
    words = re.split(r"[.:]", scorer)[-1].replace("_", " ").strip()
    return words[:1].upper() + words[1:] if words else scorer


def formula_html(formula: str) -> str:
    """A formula with subscripts: ``BaTiO3`` becomes ``BaTiO<sub>3</sub>``."""
    return re.sub(r"(\d+)", r"<sub>\1</sub>", escape(formula))


def space_group_html(symbol: str) -> str:
    """A Hermann-Mauguin symbol typeset: overbars for inversions, subscripts for screws."""
    text = re.sub(r"-(\d)", '<span class="over">\\1</span>', escape(symbol))
    return re.sub(r"_(\d)", r"<sub>\1</sub>", text)


def number(value: float | None, digits: int = 3) -> str:
    """A number to so many significant digits, with a true minus sign; a dash where missing."""
    if value is None or not math.isfinite(value):
        return "–"
    if value == 0:
        return "0"
    places = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    text = f"{value:,.{min(places, 6)}f}"
    return text.replace("-", "−")


def setting(value: float) -> str:
    """A number from the configuration, as it was given, with a true minus sign."""
    return f"{value:g}".replace("-", "−")


def share(part: float, whole: float) -> str:
    """A percentage, or a dash where there is nothing to take a share of."""
    if not whole:
        return "–"
    if not part:
        return "0 %"
    percent = 100 * part / whole
    return f"{percent:.1f} %" if percent < 10 else f"{percent:.0f} %"


def duration(seconds: float) -> str:
    """Wall-clock time in words: ``42 s``, ``3 min 20 s``, ``2 h 05 min``."""
    if not math.isfinite(seconds):
        return "–"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def goal(term: ObjectiveTerm, prop: Property) -> str:
    """One term of the objective as a clause: what is sought, and where reward is 0, 1/2 and 1."""
    transform = term.transform
    label, one, unit = prop.in_text, prop.one, prop.suffix
    match transform:
        case AscendingTransform():
            return (
                f"as high {one} as possible (reward 0 at {setting(transform.min)}{unit}, "
                f"1 from {setting(transform.max)}{unit})"
            )
        case DescendingTransform():
            return (
                f"as low {one} as possible (reward 1 up to {setting(transform.min)}{unit}, "
                f"0 from {setting(transform.max)}{unit})"
            )
        case SigmoidTransform() | ReverseSigmoidTransform():
            wish = "high" if transform.kind == "sigmoid" else "low"
            middle = setting((transform.low + transform.high) / 2)
            return f"a {wish} {label} (a sigmoid with reward 1/2 at {middle}{unit})"
        case DoubleSigmoidTransform():
            ends = f"{setting(transform.low)} and {setting(transform.high)}{unit}"
            return f"{one} between {ends} (a double sigmoid with reward 1/2 at either)"
        case StepTransform():
            return f"{one} {span(transform.low, transform.high)}{unit} (reward 1, else 0)"
        case TargetTransform():
            return _target_goal(transform, one, unit)


def span(low: float | None, high: float | None) -> str:
    """Bounds in words, either of which may be open."""
    if low is not None and high is not None:
        return f"from {setting(low)} to {setting(high)}"
    if low is not None:
        return f"of at least {setting(low)}"
    return "" if high is None else f"of at most {setting(high)}"


def limit_sentence(limit: ObjectiveFilter, prop: Property) -> str:
    """What a filter lets through."""
    return f"Only crystals with {prop.one} {span(limit.min, limit.max)}{prop.suffix} count."


def least_sentence(score: float, prop: Property) -> str:
    """What a term's least score turns down."""
    return f"A reward below {setting(score)} for the {prop.in_text} alone means none at all."


def _target_goal(transform: TargetTransform, one: str, unit: str) -> str:
    full = (
        f"within {setting(transform.min_distance)}{unit} of it"
        if transform.min_distance
        else "at the target"
    )
    return (
        f"{one} of {setting(transform.target)}{unit} (reward 1 {full}, "
        f"0 from {setting(transform.max_distance)}{unit} away)"
    )


_AGGREGATIONS = {
    "mean": "the mean of the rewards counts",
    "min": "the lowest of the rewards counts",
    "weighted": "the weighted mean of the rewards counts",
    "geometric": "the weighted geometric mean of the rewards counts",
    "chebyshev": "the lowest of the rewards over their weights counts",
}


def objective_sentence(
    config: RunConfig, properties: Sequence[Property], limited: Sequence[Property]
) -> str:
    """The objective in HTML-safe words: a sentence, and one for each filter.

    Args:
        config: Of the run.
        properties: Of the terms, in their order.
        limited: Of the filters, likewise.
    """
    terms = config.objective.terms
    clauses = [goal(term, prop) for term, prop in zip(terms, properties, strict=True)]
    swept = config.objective.preferences == "swept"
    if config.objective.aggregation in ("weighted", "geometric", "chebyshev") and not swept:
        clauses = [
            f"{clause}, weight {setting(term.weight)}"
            for clause, term in zip(clauses, terms, strict=True)
        ]
    text = "Crystals with " + "; and ".join(clauses)
    if len(clauses) > 1:
        text += f"; {_AGGREGATIONS[config.objective.aggregation]}"
        text += ", with other weights in each loop" if swept else ""
    pairs = zip(terms, properties, strict=True)
    limits = [least_sentence(term.min_score, prop) for term, prop in pairs if term.min_score]
    filters = zip(config.objective.filters, limited, strict=True)
    limits += [limit_sentence(limit, prop) for limit, prop in filters]
    return " ".join([escape(text) + ".", *map(escape, limits)])
