"""Tools for reactions, amounts and solutions."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from ray_matdesign.agents.chemistry.amounts import (
    BalancedReaction,
    Portion,
    equivalent_volume_ml,
    limited_yield,
    portions_for,
    solute_mass_g,
    stock_volume_ml,
)
from ray_matdesign.agents.chemistry.arguments import Answer, Arguments, Positive, Text
from ray_matdesign.agents.chemistry.balancing import Reaction, balance, parse_reaction
from ray_matdesign.agents.chemistry.refusals import screen_making
from ray_matdesign.agents.chemistry.substances import substance_formula
from ray_matdesign.agents.tools.protocol import Tool

Share = Annotated[float, Field(gt=0.0, le=1.0)]
Equation = Annotated[
    str,
    Field(
        min_length=3,
        max_length=2000,
        description="formulas, such as 'Fe + O2 -> Fe2O3'; charges as SO4^2-, electrons as e-; "
        "numbers may be left out",
    ),
]


class EquationText(Arguments):
    """A reaction to balance."""

    equation: Equation


class Balanced(Answer):
    """A reaction with its numbers."""

    unique: bool
    """Whether there is only one way, up to a common factor."""
    equation: str
    """Balanced; empty where there are several ways."""
    coefficients: dict[str, int]
    """By formula as written, reactants and products; empty where there are several ways."""
    ways: tuple[str, ...]
    """All elementary ways; every sum of them is balanced as well, and chemistry has to decide."""


class ProductWanted(Arguments):
    """A mass of product wanted."""

    equation: Equation
    product: Text = Field(description="formula of one of the products")
    mass_g: Positive = Field(description="of the product, grams")
    expected_yield: Share = Field(default=1.0, description="share of the product obtained")
    excess: dict[str, Annotated[float, Field(ge=0.0, le=100.0)]] = Field(
        default_factory=dict,
        description="by reagent: taken beyond need, as a fraction (0.05 for 5 %)",
    )
    purity: dict[str, Share] = Field(
        default_factory=dict, description="by reagent: mass fraction; 1 where not given"
    )


class Amount(Answer):
    """How much of a substance."""

    formula: str
    moles: float
    mass_g: float
    """Of the pure substance."""
    weigh_g: float
    """Given its purity."""


class Recipe(Answer):
    """Reagents for a mass of product."""

    equation: str
    reagents: tuple[Amount, ...]


class MassesGiven(Arguments):
    """Masses of all reagents."""

    equation: Equation
    masses_g: dict[str, Positive] = Field(description="by reagent, pure, grams")


class LimitedYield(Answer):
    """What given masses can give."""

    equation: str
    limiting_reagent: str
    products: tuple[Amount, ...]
    left: tuple[Amount, ...]


class Dilution(Arguments):
    """A solution to dilute."""

    stock_mol_per_l: Positive
    final_mol_per_l: Positive
    final_volume_ml: Positive


class DilutionVolumes(Answer):
    """Volumes to mix."""

    stock_ml: float
    solvent_ml: float
    """To fill up with, if volumes add; in practice fill up to the mark."""


class SolutionWanted(Arguments):
    """A solution to prepare from a solid or a pure liquid."""

    solute: Text = Field(description="formula of what is weighed, crystal water and all; or name")
    concentration_mol_per_l: Positive
    volume_ml: Positive
    purity: Share = Field(default=1.0, description="mass fraction")


class SoluteMass(Answer):
    """What to weigh."""

    formula: str
    mass_g: float
    molar_mass_g_per_mol: float


class Titration(Arguments):
    """Two solutions that react."""

    equation: Equation
    known: Text = Field(description="formula of the reagent whose volume is known")
    known_mol_per_l: Positive
    known_volume_ml: Positive
    other: Text = Field(description="formula of the other reagent")
    other_mol_per_l: Positive


class EquivalentVolume(Answer):
    """Volume that reacts completely."""

    equation: str
    volume_ml: float


def reaction_tools() -> list[Tool[Any, Any]]:
    """Balancing, amounts, dilutions, solutions, titrations."""
    return [
        Tool(
            "balance_reaction",
            "Balances a reaction exactly, elements and charge, and says whether there is only one "
            "way to do so.",
            EquationText,
            Balanced,
            _balance,
        ),
        Tool(
            "amounts_for_product",
            "Masses of the reagents for a mass of product, with yield, excess and purity.",
            ProductWanted,
            Recipe,
            _amounts,
        ),
        Tool(
            "limiting_reagent",
            "Which of given masses of reagents is used up first, how much product that gives, and "
            "what is left over.",
            MassesGiven,
            LimitedYield,
            _limited,
        ),
        Tool(
            "dilute_solution",
            "Volume of a stock solution to dilute to a concentration and a volume.",
            Dilution,
            DilutionVolumes,
            _dilute,
        ),
        Tool(
            "prepare_solution",
            "Mass of a substance to weigh for a solution of given concentration and volume.",
            SolutionWanted,
            SoluteMass,
            _prepare,
        ),
        Tool(
            "solution_stoichiometry",
            "Volume of one solution that reacts completely with a volume of another, as in a "
            "titration or a precipitation.",
            Titration,
            EquivalentVolume,
            _equivalent,
        ),
    ]


def _screened(equation: str) -> Reaction:
    reaction = parse_reaction(equation)
    screen_making(reaction.reactants, reaction.products)
    return reaction


def _balance(asked: EquationText) -> Balanced:
    reaction = _screened(asked.equation)
    ways = balance(reaction)
    names = [f.text + (f"({f.phase})" if f.phase else "") for f in reaction.species]
    unique = len(ways) == 1
    return Balanced(
        unique=unique,
        equation=reaction.written(ways[0]) if unique else "",
        coefficients=dict(zip(names, ways[0], strict=True)) if unique else {},
        ways=tuple(reaction.written(way) for way in ways),
    )


def _amounts(asked: ProductWanted) -> Recipe:
    balanced = BalancedReaction.of(_screened(asked.equation))
    portions = portions_for(
        balanced,
        asked.product,
        asked.mass_g,
        expected_yield=asked.expected_yield,
        excess=asked.excess,
        purity=asked.purity,
    )
    return Recipe(equation=balanced.equation, reagents=tuple(map(_amount, portions)))


def _limited(asked: MassesGiven) -> LimitedYield:
    balanced = BalancedReaction.of(_screened(asked.equation))
    outcome = limited_yield(balanced, asked.masses_g)
    return LimitedYield(
        equation=balanced.equation,
        limiting_reagent=outcome.limiting,
        products=tuple(map(_amount, outcome.products)),
        left=tuple(map(_amount, outcome.left)),
    )


def _dilute(asked: Dilution) -> DilutionVolumes:
    stock = stock_volume_ml(asked.stock_mol_per_l, asked.final_mol_per_l, asked.final_volume_ml)
    return DilutionVolumes(stock_ml=stock, solvent_ml=asked.final_volume_ml - stock)


def _prepare(asked: SolutionWanted) -> SoluteMass:
    formula = substance_formula(asked.solute)
    mass = solute_mass_g(formula, asked.concentration_mol_per_l, asked.volume_ml, asked.purity)
    return SoluteMass(
        formula=formula.text, mass_g=mass, molar_mass_g_per_mol=formula.molar_mass_g_per_mol
    )


def _equivalent(asked: Titration) -> EquivalentVolume:
    balanced = BalancedReaction.of(_screened(asked.equation))
    volume = equivalent_volume_ml(
        balanced,
        (asked.known, asked.known_mol_per_l, asked.known_volume_ml),
        (asked.other, asked.other_mol_per_l),
    )
    return EquivalentVolume(equation=balanced.equation, volume_ml=volume)


def _amount(portion: Portion) -> Amount:
    return Amount(
        formula=portion.formula,
        moles=portion.moles,
        mass_g=portion.mass_g,
        weigh_g=portion.weigh_g,
    )
