"""What these tools do not help with: chemical weapons and explosives.

Three nets, none of which is perfect: names, formulas that hardly belong to anything else, and
structures. Chemical weapons are those of Schedules 1 and 2A of the Chemical Weapons Convention,
as families; explosives are told by their groups together with the oxygen balance, so that a drug
with a nitro group or an azide is not one. The toxic gases of Schedule 3A are ordinary chemicals:
they may be looked up, but not made. Everything refused is logged.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from ray_matdesign.agents.chemistry.formulas import Formula
from ray_matdesign.agents.chemistry.molecules import (
    canonical_smiles,
    element_counts,
    fragments,
    matches,
    parse_smiles,
)
from ray_matdesign.agents.tools.protocol import Refused
from ray_matdesign.crystals.elements import ATOMIC_MASSES_AMU, ATOMIC_NUMBERS

logger = logging.getLogger(__name__)

_WEAPON = "a chemical weapon (Chemical Weapons Convention, Schedule {})"
_EXPLOSIVE = "an explosive ({})"

_WEAPON_NAMES: Mapping[str, str] = {
    "1": "sarin|soman|cyclosarin|chlorosarin|chlorosoman|tabun|vx|agent vx|vx agent|russian vx"
    "|novichok|mustard gas|sulfur mustard|sulphur mustard|nitrogen mustard|sesquimustard|o-mustard"
    "|yperite|lewisite|mechlorethamine|nerve gas|nerve agent|methylphosphonyl difluoride"
    "|saxitoxin|ricin",
    "2": "amiton|perfluoroisobutene|perfluoroisobutylene|3-quinuclidinyl benzilate"
    "|quinuclidinyl benzilate",
}
_EXPLOSIVE_NAMES = (
    "tnt|trinitrotoluene|rdx|hexogen|cyclonite|hmx|octogen|petn|pentaerythritol tetranitrate"
    "|nitroglycerin|nitroglycerine|glyceryl trinitrate|nitroglycol|ethylene glycol dinitrate"
    "|tetryl|picric acid|trinitrophenol|styphnic acid|ammonium picrate|tatp|triacetone triperoxide"
    "|acetone peroxide|hmtd|hexamethylene triperoxide diamine|lead azide|silver azide"
    "|mercury fulminate|silver fulminate|fulminic acid|silver acetylide|copper acetylide"
    "|lead styphnate|nitrogen triiodide|nitrocellulose|guncotton|tetranitromethane|hexanitrobenzene"
    "|cl-20|hniw|octanitrocubane|dynamite|anfo|gunpowder|black powder|flash powder|semtex|tritonal"
)

_WEAPON_FORMULAS: Mapping[str, str] = {
    "C4H10FO2P": "1", "C7H16FO2P": "1", "C7H14FO2P": "1", "C5H11N2O2P": "1", "C11H26NO2PS": "1",
    "C4H8Cl2S": "1", "C5H11Cl2N": "1", "C6H12Cl3N": "1", "C2H2AsCl3": "1", "CH3F2OP": "1",
    "C10H17N7O4": "1", "C10H24NO3PS": "2A",
}  # fmt: skip
"""Hill formulas with the schedule; of PFIB and silver fulminate there are harmless isomers."""
_EXPLOSIVE_FORMULAS = frozenset({
    "C7H5N3O6", "C3H6N6O6", "C4H8N8O8", "C5H8N4O12", "C3H5N3O9", "C2H4N2O6", "C7H5N5O8",
    "C6H3N3O7", "C6H3N3O8", "CN4O8", "C6H6N12O12", "N6Pb", "AgN3", "C2HgN2O2", "C2Ag2", "C2Cu2",
    "I3N", "H3I3N2",
})  # fmt: skip
_PEROXIDE_FORMULAS = frozenset({"C9H18O6", "C6H12O4", "C6H12N2O6"})
"""Cyclic peroxides; isomers of harmless esters and ethers, hence refused beside a peroxide only."""
_TOXIC_GAS_FORMULAS: Mapping[str, str] = {
    "CCl2O": "phosgene", "CClN": "cyanogen chloride", "CHN": "hydrogen cyanide",
    "CCl3NO2": "chloropicrin",
}  # fmt: skip


@dataclass(frozen=True)
class _Family:
    """A family of a schedule by what its members hold: each pattern at least so often."""

    schedule: str
    patterns: tuple[tuple[str, int], ...]


_ALKYL = "$([CH3]),$([CH2][CH3]),$([CH2][CH2][CH3]),$([CH]([CH3])[CH3])"
_FAMILIES: tuple[_Family, ...] = (
    # Alkylphosphonofluoridates and -chloridates with an ester, and the difluorides they come from.
    _Family("1", ((f"[{_ALKYL}][PX4](=O)([F,Cl])[OX2][#6]", 1),)),
    _Family("1", ((f"[{_ALKYL}][PX4](=O)(F)F", 1),)),
    # Phosphoramidocyanidates.
    _Family("1", (("[PX4](=O)(C#N)([NX3])[OX2]", 1),)),
    # Phosphonothiolates with an aminoethyl group, and the phosphonites they come from.
    _Family("1", ((f"[{_ALKYL}][PX4](=[O,S])[SX2][CH2][CH2][NX3,NX4+]", 1),)),
    _Family("1", ((f"[{_ALKYL}][PX3]([OX2][#6])[OX2][CH2][CH2][NX3,NX4+]", 1),)),
    # Phosphono- and phosphoramidofluoridates with an amidine.
    _Family("1", (("[PX4](=O)(F)[NX2]=[CX3][NX3]", 1),)),
    # Carbamates of hydroxypicolines with a quaternary ammonium beside the ring.
    _Family("1", (("[CH3]N([CH3])C(=O)Oc1cccnc1[CH2][NX4+]", 1),)),
    # Sulfur mustards, nitrogen mustards without another group, chlorovinylarsines.
    _Family("1", (("[Cl][CH2][CH2][SX2]", 2),)),
    _Family("1", (("[Cl][CH2][CH2][SX2][CH2][CH2][Cl]", 1),)),
    _Family("1", (("[Cl][CH2][CH2][SX2][CH2][Cl]", 1),)),
    _Family("1", (("[CH3,$([CH2][CH3]),$([CH2][CH2][Cl])]N([CH2][CH2][Cl])[CH2][CH2][Cl]", 1),)),
    _Family("1", (("[As][CX3H]=[CX3H][Cl]", 1),)),
    _Family("2A", (("[PX4](=O)([OX2][#6])([OX2][#6])[SX2][CH2][CH2][NX3]([#6])[#6]", 1),)),
)
_SINGLE_WEAPONS = (
    ("2A", "FC(F)=C(C(F)(F)F)C(F)(F)F"),
    ("2A", "O=C(OC1CN2CCC1CC2)C(O)(c1ccccc1)c1ccccc1"),
)

_NITRO = "[$([NX3](=O)=O),$([NX3+](=O)[O-])]"
_COVALENT_AZIDE = "[#6][NX2]=[NX2+]=[NX1-]"
_SENSITIVE_AZIDE = "[Pb,Ag,Hg,Cu,Cd,Tl,I,Br,Cl][NX2]=[NX2+]=[NX1-]"


def screen_text(text: str) -> None:
    """Refuses a name.

    Raises:
        Refused: It names a chemical weapon or an explosive.
    """
    words = _plain(text)
    for schedule, names in _WEAPON_NAMES.items():
        if words in _name_set(names):
            _refuse(text, _WEAPON.format(schedule))
    if words in _name_set(_EXPLOSIVE_NAMES):
        _refuse(text, _EXPLOSIVE.format("by name"))


def screen_formula(formula: Formula) -> None:
    """Refuses a formula that hardly stands for anything else.

    Raises:
        Refused: It is that of a chemical weapon or an explosive.
    """
    if formula.charge:
        return
    hill = formula.hill
    if hill in _WEAPON_FORMULAS:
        _refuse(formula.text, _WEAPON.format(_WEAPON_FORMULAS[hill]))
    if hill in _EXPLOSIVE_FORMULAS:
        _refuse(formula.text, _EXPLOSIVE.format("by formula"))


def screen_molecule(molecule: Any) -> None:
    """Refuses a structure; each ion or component of it is looked at by itself.

    Raises:
        Refused: It belongs to a family of chemical weapons, or its groups and its oxygen balance
            are those of an explosive.
    """
    for part in fragments(molecule):
        smiles = canonical_smiles(part)
        schedule = _weapon_schedule(part, smiles)
        if schedule:
            _refuse(smiles, _WEAPON.format(schedule))
        group = explosive_group(part)
        if group:
            _refuse(smiles, _EXPLOSIVE.format(group))
    if matches(molecule, _SENSITIVE_AZIDE) or _heavy_metal_azide(molecule):
        _refuse(canonical_smiles(molecule), _EXPLOSIVE.format("azide of a heavy metal or halogen"))


def screen_making(reactants: Iterable[Formula], products: Iterable[Formula]) -> None:
    """Refuses a reaction by what it makes or starts from.

    Raises:
        Refused: A species is refused by itself, or a toxic gas of Schedule 3A or a cyclic peroxide
            is made.
    """
    starts, ends = list(reactants), list(products)
    for formula in (*starts, *ends):
        screen_formula(formula)
    for formula in ends:
        if not formula.charge and formula.hill in _TOXIC_GAS_FORMULAS:
            gas = _TOXIC_GAS_FORMULAS[formula.hill]
            _refuse(formula.text, f"making {gas} (Chemical Weapons Convention, Schedule 3)")
    if any(formula.hill == "H2O2" for formula in starts):
        for formula in ends:
            if formula.hill in _PEROXIDE_FORMULAS:
                _refuse(formula.text, _EXPLOSIVE.format("cyclic peroxide"))


def explosive_group(molecule: Any) -> str | None:
    """The group by which a molecule is taken for an explosive; ``None`` for all others.

    The thresholds are set between known explosives and known drugs, herbicides, dyes and reagents:
    trinitroarenes from an oxygen balance of -100 % (musk xylene has -137 %), two or more nitrate
    esters or nitramines likewise, a single one from -60 % (isosorbide mononitrate has -88 %),
    aliphatic nitro compounds from two groups and -60 %, azides below one atom of C or O for each
    azide nitrogen (zidovudine has five), rings with two peroxide bonds from -200 %.
    """
    balance = oxygen_balance_percent(molecule)
    count = {name: len(matches(molecule, smarts)) for name, smarts in _GROUPS.items()}
    esters, nitramines = count["nitrate ester"], count["nitramine"]
    if count["aromatic nitro"] >= 3 and balance > -100.0:
        return "trinitroarene"
    if (esters >= 2 and balance > -100.0) or (esters and balance > -60.0):
        return "nitrate ester"
    if (nitramines >= 2 and balance > -100.0) or (nitramines and balance > -60.0):
        return "nitramine"
    if count["aliphatic nitro"] >= 2 and balance > -60.0:
        return "aliphatic polynitro compound"
    if count["diazo"] and count["nitro"] >= 2:
        return "nitrated diazo compound"
    if count["perchlorate"]:
        return "covalent perchlorate"
    if count["fulminate"]:
        return "fulminate"
    if count["nitrogen halide"]:
        return "nitrogen trihalide"
    if _peroxide_ring(molecule) and balance > -200.0:
        return "cyclic peroxide"
    atoms = element_counts(molecule)
    if count["azide"] and atoms.get("C", 0) + atoms.get("O", 0) < 3 * count["azide"]:
        return "azide"
    return None


def oxygen_balance_percent(molecule: Any) -> float:
    """Oxygen left over or missing when C burns to CO2 and H to H2O, per cent of the mass.

    ``-1600 (2 C + H / 2 - O) / M``; atoms other than C, H and O burn to nothing.
    """
    counts = element_counts(molecule)
    mass = sum(n * ATOMIC_MASSES_AMU[ATOMIC_NUMBERS[s]] for s, n in counts.items() if s != "*")
    missing = 2 * counts.get("C", 0) + 0.5 * counts.get("H", 0) - counts.get("O", 0)
    return float(-1600.0 * missing / mass)


_GROUPS: Mapping[str, str] = {
    "nitro": _NITRO,
    "aromatic nitro": f"[c]{_NITRO}",
    "aliphatic nitro": f"[#6;!c]{_NITRO}",
    "nitrate ester": f"[#6][OX2]{_NITRO}",
    "nitramine": f"[NX3,NX2,n]{_NITRO}",
    "azide": _COVALENT_AZIDE,
    "diazo": "[$([#6]=[NX2+]=[NX1-]),$([#6][NX2+]#[NX1])]",
    "perchlorate": "[#6][OX2][ClX4](=O)(=O)=O",
    "fulminate": "[$([OX1-][NX2+]#[CX1]),$([OX1-][NX2+]#[CX2H]),$([OX2][NX2+]#[CX1-])]",
    "nitrogen halide": "[NX3]([Cl,Br,I])([Cl,Br,I])[Cl,Br,I]",
}


def _weapon_schedule(molecule: Any, smiles: str) -> str | None:
    for family in _FAMILIES:
        if all(len(matches(molecule, smarts)) >= least for smarts, least in family.patterns):
            return family.schedule
    return _exact_weapons().get(smiles)


@cache
def _exact_weapons() -> Mapping[str, str]:
    return {canonical_smiles(parse_smiles(smiles)): s for s, smiles in _SINGLE_WEAPONS}


def _heavy_metal_azide(molecule: Any) -> bool:
    heavy = any(matches(molecule, f"[{metal}]") for metal in ("Pb", "Ag", "Hg", "Cu", "Cd", "Tl"))
    return heavy and bool(matches(molecule, "[NX1-]=[NX2+]=[NX1-]"))


def _peroxide_ring(molecule: Any) -> bool:
    """Whether rings that share atoms hold two peroxide bonds between them."""
    bonds = [set(match) for match in matches(molecule, "[OX2;R][OX2;R]")]
    rings = [set(ring) for ring in molecule.GetRingInfo().AtomRings()]
    for ring in rings:
        system = set(ring).union(*(other for other in rings if len(other & ring) > 1))
        if sum(bond <= system for bond in bonds) >= 2:
            return True
    return False


@cache
def _name_set(names: str) -> frozenset[str]:
    return frozenset(_plain(name) for name in names.split("|"))


def _plain(text: str) -> str:
    """Lower case, without locants before trinitrotoluene and the like, spaces and hyphens."""
    words = re.sub(r"^(?:\d[\d,']*-)+", "", text.strip().lower())
    return re.sub(r"[\s\-_'()]", "", words)


def _refuse(what: str, why: str) -> None:
    logger.warning("refused %s: %s", what, why)
    raise Refused(f"{what}: not answered, for it is {why}")
