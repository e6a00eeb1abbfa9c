"""Stoichiometry: how much of what for how much of what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ray_matdesign.agents.chemistry.balancing import Reaction, balance
from ray_matdesign.agents.chemistry.formulas import Formula, parse_formula
from ray_matdesign.agents.tools.protocol import ToolError


@dataclass(frozen=True)
class BalancedReaction:
    """A reaction with its one set of numbers.

    Attributes:
        reaction: What reacts to what.
        numbers: Of each species, reactants first.
    """

    reaction: Reaction
    numbers: tuple[int, ...]

    @classmethod
    def of(cls, reaction: Reaction) -> BalancedReaction:
        """Balances.

        Raises:
            ToolError: It cannot be balanced, or in more than one way.
        """
        ways = balance(reaction)
        if len(ways) > 1:
            told = "; ".join(reaction.written(way) for way in ways[:3])
            raise ToolError(f"balanced in more than one way, take one of them: {told}")
        return cls(reaction, ways[0])

    @property
    def equation(self) -> str:
        """With its numbers."""
        return self.reaction.written(self.numbers)

    def number_of(self, wanted: str, among: Sequence[Formula]) -> tuple[Formula, int]:
        """A species, however its formula is written, and its number.

        Raises:
            ToolError: It is not among the species given.
        """
        key = parse_formula(wanted).key
        for formula, number in zip(self.reaction.species, self.numbers, strict=True):
            if formula.key == key and formula in among:
                return formula, number
        raise ToolError(f"{wanted} is none of {', '.join(f.text for f in among)}")


@dataclass(frozen=True)
class Portion:
    """An amount of one substance.

    Attributes:
        formula: As written in the equation.
        moles: Of formula units.
        mass_g: Of the pure substance.
        weigh_g: Of what is in the bottle, given its purity.
    """

    formula: str
    moles: float
    mass_g: float
    weigh_g: float


def portions_for(
    balanced: BalancedReaction,
    product: str,
    mass_g: float,
    *,
    expected_yield: float = 1.0,
    excess: Mapping[str, float] | None = None,
    purity: Mapping[str, float] | None = None,
) -> list[Portion]:
    """Reagents for a mass of product.

    Args:
        balanced: The reaction.
        product: One of its products.
        mass_g: Wanted, grams.
        expected_yield: Share of the product that is obtained, in (0, 1].
        excess: By reagent, what is taken beyond the need, as a fraction of it (0.05 for 5 %).
        purity: By reagent, mass fraction in (0, 1]; 1 where not said.

    Raises:
        ToolError: A substance is not in the reaction.
    """
    made, number = balanced.number_of(product, balanced.reaction.products)
    turnover = mass_g / made.molar_mass_g_per_mol / number / expected_yield
    reactants = balanced.reaction.reactants
    extra = {balanced.number_of(f, reactants)[0].key: x for f, x in (excess or {}).items()}
    pure = {balanced.number_of(f, reactants)[0].key: x for f, x in (purity or {}).items()}
    portions = []
    for formula, n in zip(reactants, balanced.numbers, strict=False):
        moles = turnover * n * (1.0 + extra.get(formula.key, 0.0))
        mass = moles * formula.molar_mass_g_per_mol
        portions.append(Portion(formula.text, moles, mass, mass / pure.get(formula.key, 1.0)))
    return portions


@dataclass(frozen=True)
class Yield:
    """What given masses of reagents can give.

    Attributes:
        limiting: The reagent that is used up first.
        products: Formed at most.
        left: Of each reagent, unreacted.
    """

    limiting: str
    products: tuple[Portion, ...]
    left: tuple[Portion, ...]


def limited_yield(balanced: BalancedReaction, masses_g: Mapping[str, float]) -> Yield:
    """The limiting reagent and what it allows.

    Args:
        balanced: The reaction.
        masses_g: Of every reactant, pure, grams.

    Raises:
        ToolError: A mass is missing, or is of something that is no reactant.
    """
    reactants = balanced.reaction.reactants
    given = {balanced.number_of(f, reactants)[0].key: mass for f, mass in masses_g.items()}
    missing = [formula.text for formula in reactants if formula.key not in given]
    if missing:
        raise ToolError(f"no mass of {', '.join(missing)} is given")
    moles = [given[f.key] / f.molar_mass_g_per_mol for f in reactants]
    turnovers = [m / n for m, n in zip(moles, balanced.numbers, strict=False)]
    turnover = min(turnovers)
    limiting = reactants[turnovers.index(turnover)]
    products = [
        _portion(f, n * turnover)
        for f, n in zip(balanced.reaction.products, balanced.numbers[len(reactants) :], strict=True)
    ]
    left = [
        # Rounding must not leave a trace of what is used up.
        _portion(f, 0.0 if f is limiting else max(m - n * turnover, 0.0))
        for f, m, n in zip(reactants, moles, balanced.numbers, strict=False)
    ]
    return Yield(limiting.text, tuple(products), tuple(left))


def stock_volume_ml(stock: float, final: float, final_volume_ml: float) -> float:
    """Volume of stock to dilute: ``c1 V1 = c2 V2``.

    Args:
        stock: Concentration of the stock; the unit of ``final``.
        final: Concentration wanted.
        final_volume_ml: Of the diluted solution, millilitres.

    Raises:
        ToolError: The stock is weaker than what is wanted.
    """
    if final > stock:
        raise ToolError(
            f"a stock of {stock:g} cannot be diluted to {final:g}: it is weaker than that"
        )
    return final / stock * final_volume_ml


def solute_mass_g(
    formula: Formula, concentration_mol_per_l: float, volume_ml: float, purity: float = 1.0
) -> float:
    """Mass to weigh for a solution of known volume, grams.

    Args:
        formula: Of what is weighed, crystal water and all.
        concentration_mol_per_l: Of formula units.
        volume_ml: Of the solution, millilitres.
        purity: Mass fraction, in (0, 1].
    """
    moles = concentration_mol_per_l * volume_ml / 1000.0
    return moles * formula.molar_mass_g_per_mol / purity


def equivalent_volume_ml(
    balanced: BalancedReaction,
    known: tuple[str, float, float],
    other: tuple[str, float],
) -> float:
    """Volume of one solution that reacts with a volume of another, millilitres.

    Args:
        balanced: The reaction.
        known: A reactant, its concentration (mol/l) and the volume of its solution (ml).
        other: Another reactant and its concentration (mol/l).

    Raises:
        ToolError: One of them is no reactant.
    """
    reactants = balanced.reaction.reactants
    substance, concentration, volume_ml = known
    _, n_known = balanced.number_of(substance, reactants)
    _, n_other = balanced.number_of(other[0], reactants)
    return concentration * volume_ml * n_other / n_known / other[1]


def _portion(formula: Formula, moles: float) -> Portion:
    mass = moles * formula.molar_mass_g_per_mol
    return Portion(formula.text, moles, mass, mass)
