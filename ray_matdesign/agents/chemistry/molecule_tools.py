"""Tools for substances and molecules."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from pydantic import Field

from ray_matdesign.agents.chemistry.arguments import Answer, Arguments, Text
from ray_matdesign.agents.chemistry.formulas import mass_amu
from ray_matdesign.agents.chemistry.molecules import (
    canonical_smiles,
    common_substructure,
    descriptors,
    functional_groups,
    inchi,
    matches,
    parse_smiles,
    tanimoto,
)
from ray_matdesign.agents.chemistry.oxidation import oxidation_states
from ray_matdesign.agents.chemistry.substances import (
    Kind,
    Substance,
    resolve,
    substance_formula,
)
from ray_matdesign.agents.tools.protocol import Refused, Tool, ToolError

Molecule = Annotated[
    str,
    Field(min_length=1, max_length=2000, description="SMILES, or the name of a common substance"),
]


class SubstanceText(Arguments):
    """A substance to identify."""

    text: Text = Field(description="a common name, a formula or a SMILES")
    kind: Kind = Field(
        default="auto", description="what the text is; set it where a guess could be wrong"
    )


class Identity(Answer):
    """What a substance is."""

    name: str
    """Empty for what is not in the packaged table."""
    synonyms: tuple[str, ...]
    read_as: str
    formula: str
    """In Hill's order."""
    molar_mass_g_per_mol: float
    smiles: str
    inchi: str
    inchikey: str
    candidates: tuple[str, ...]
    """Known substances of this formula, where it does not say which it is."""
    note: str


class MoleculeText(Arguments):
    """A molecule."""

    molecule: Molecule


class MoleculeProperties(Answer):
    """Properties of a molecule from its bonds alone."""

    smiles: str
    formula: str
    molar_mass_g_per_mol: float
    exact_mass_u: float
    logp: float
    tpsa_ang2: float
    h_bond_donors: int
    h_bond_acceptors: int
    rotatable_bonds: int
    rings: int
    aromatic_rings: int
    fraction_sp3: float
    qed: float
    stereocentres: tuple[tuple[int, str], ...]
    lipinski_violations: int


class TwoMolecules(Arguments):
    """Two molecules to compare."""

    first: Molecule
    second: Molecule
    radius: int = Field(default=2, ge=0, le=6, description="of the Morgan fingerprint, in bonds")


class Likeness(Answer):
    """How alike two molecules are."""

    tanimoto: float
    """0 to 1."""
    common_smarts: str
    common_atoms: int
    share_of_first: float
    """Of its heavy atoms that are common."""
    share_of_second: float
    search_complete: bool


class PatternText(Arguments):
    """A pattern to look for."""

    molecule: Molecule
    smarts: Text = Field(description="SMARTS pattern, such as [CX3](=O)[OX2H1]")


class Places(Answer):
    """Where a pattern occurs."""

    count: int
    atoms: tuple[tuple[int, ...], ...]
    """Indices of atoms, in the order of the SMILES as given."""


class Groups(Answer):
    """Functional groups and how often they occur."""

    groups: dict[str, int]


class FormulaText(Arguments):
    """A formula."""

    formula: Text = Field(
        description="such as CuSO4·5H2O, [Cu(NH3)4]^2+ or LiNi0.8Co0.2O2; or a common name"
    )


class Mass(Answer):
    """Molar mass and what it is made of."""

    formula: str
    molar_mass_g_per_mol: float
    mass_fractions: dict[str, float]
    charge: int


class States(Answer):
    """Mean oxidation states."""

    states: dict[str, str]
    """By symbol, signed; a fraction is a mean over atoms in different states."""
    method: str
    notes: tuple[str, ...]


def molecule_tools() -> list[Tool[Any, Any]]:
    """Identity, properties, likeness, groups, masses, oxidation states."""
    return [
        Tool(
            "identify_substance",
            "What a common name, formula or SMILES stands for: formula, molar mass, canonical "
            "SMILES, InChI. Names are looked up in a packaged table of common substances only; "
            "systematic names are not parsed.",
            SubstanceText,
            Identity,
            _identify,
        ),
        Tool(
            "molecule_properties",
            "Molar mass, logP (Crippen), polar surface, hydrogen bonds, rings, stereocentres, "
            "drug-likeness (QED) and Lipinski's rules of a molecule.",
            MoleculeText,
            MoleculeProperties,
            _properties,
        ),
        Tool(
            "compare_molecules",
            "Tanimoto similarity of Morgan fingerprints and the largest common substructure of two "
            "molecules.",
            TwoMolecules,
            Likeness,
            _compare,
        ),
        Tool(
            "find_substructure",
            "Where a SMARTS pattern occurs in a molecule.",
            PatternText,
            Places,
            _find,
        ),
        Tool(
            "functional_groups",
            "The functional groups of a molecule and how often each occurs.",
            MoleculeText,
            Groups,
            lambda asked: Groups(groups=functional_groups(_molecule(asked.molecule))),
        ),
        Tool(
            "molar_mass",
            "Molar mass and mass fractions of a formula with brackets, hydrates, fractions and "
            "charges.",
            FormulaText,
            Mass,
            _mass,
        ),
        Tool(
            "oxidation_states",
            "Mean oxidation states of the elements in a formula, by the usual conventions.",
            FormulaText,
            States,
            _states,
        ),
    ]


def _identify(asked: SubstanceText) -> Identity:
    substance = resolve(asked.text, asked.kind)
    entry = substance.entry
    told, key = inchi(parse_smiles(substance.smiles)) if substance.smiles else ("", "")
    return Identity(
        name=entry.name if entry else "",
        synonyms=entry.synonyms if entry else (),
        read_as=substance.read_as,
        formula=substance.formula.hill,
        molar_mass_g_per_mol=substance.formula.molar_mass_g_per_mol,
        smiles=substance.smiles,
        inchi=told,
        inchikey=key,
        candidates=substance.candidates,
        note=substance.note,
    )


def _molecule(text: str) -> Any:
    """A molecule by name or SMILES, never by formula: ``CO`` is methanol here."""
    substance = _named_or_smiles(text)
    if not substance.smiles:
        raise ToolError(f"{text!r} is no molecule of known structure: give its SMILES")
    # Indices of atoms are told in the order of the text, which the canonical SMILES changes.
    return parse_smiles(text if substance.read_as == "smiles" else substance.smiles)


def _named_or_smiles(text: str) -> Substance:
    try:
        return resolve(text, "smiles")
    except Refused:
        raise
    except ToolError as error:
        not_a_smiles = str(error)
    try:
        return resolve(text, "name")
    except Refused:
        raise
    except ToolError as error:
        raise ToolError(f"{not_a_smiles}; {error}") from error


def _properties(asked: MoleculeText) -> MoleculeProperties:
    molecule = _molecule(asked.molecule)
    return MoleculeProperties(smiles=canonical_smiles(molecule), **asdict(descriptors(molecule)))


def _compare(asked: TwoMolecules) -> Likeness:
    first, second = _molecule(asked.first), _molecule(asked.second)
    smarts, atoms, complete = common_substructure(first, second)
    return Likeness(
        tanimoto=tanimoto(first, second, asked.radius),
        common_smarts=smarts,
        common_atoms=atoms,
        share_of_first=atoms / first.GetNumHeavyAtoms(),
        share_of_second=atoms / second.GetNumHeavyAtoms(),
        search_complete=complete,
    )


def _find(asked: PatternText) -> Places:
    found = matches(_molecule(asked.molecule), asked.smarts)
    return Places(count=len(found), atoms=tuple(found))


def _mass(asked: FormulaText) -> Mass:
    formula = substance_formula(asked.formula)
    total = formula.molar_mass_g_per_mol
    if not total:
        raise ToolError(f"{asked.formula}: the electron's mass is left out of all molar masses")
    return Mass(
        formula=formula.hill,
        molar_mass_g_per_mol=total,
        mass_fractions={s: float(n) * mass_amu(s) / total for s, n in formula.counts.items()},
        charge=formula.charge,
    )


def _states(asked: FormulaText) -> States:
    formula = substance_formula(asked.formula)
    found = oxidation_states(formula) if formula.counts else None
    if found is None:
        raise ToolError(f"{asked.formula}: no oxidation states add up to its charge")
    return States(
        states={s: f"{'+' if q > 0 else ''}{q}" for s, q in found.states.items()},
        method=found.method,
        notes=found.notes,
    )
