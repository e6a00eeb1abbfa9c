"""Molecules by RDKit: identity, properties, likeness and groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from ray_matdesign.agents.tools.protocol import ToolError

FUNCTIONAL_GROUPS: Mapping[str, str] = {
    "carboxylic acid": "[CX3](=O)[OX2H1]",
    "carboxylate": "[CX3](=O)[OX1-]",
    "ester": "[#6][CX3](=O)[OX2H0][#6]",
    "amide": "[NX3][CX3](=[OX1])[#6,#1]",
    "carbamate": "[NX3][CX3](=O)[OX2][#6]",
    "urea": "[NX3][CX3](=O)[NX3]",
    "acyl halide": "[CX3](=O)[F,Cl,Br,I]",
    "anhydride": "[CX3](=O)[OX2][CX3](=O)",
    "aldehyde": "[CX3H1](=O)[#6,#1]",
    "ketone": "[#6][CX3](=O)[#6]",
    "alcohol": "[OX2H][CX4;!$(C([OX2H])[O,S,#7,#15])]",
    "phenol": "[OX2H][c]",
    "ether": "[OD2]([#6;!$(C=O)])[#6;!$(C=O)]",
    "epoxide": "[CX4]1[OX2][CX4]1",
    "peroxide": "[OX2][OX2]",
    "primary amine": "[NX3;H2;!$(NC=[O,S,N]);!$(N[!#6])][#6]",
    "secondary amine": "[NX3;H1;!$(NC=[O,S,N]);!$(N[!#6])]([#6])[#6]",
    "tertiary amine": "[NX3;H0;!$(NC=[O,S,N]);!$(N[!#6])]([#6])([#6])[#6]",
    "quaternary ammonium": "[NX4+]([#6])([#6])([#6])[#6]",
    "imine": "[CX3]=[NX2;!$(N[#7,#8])]",
    "nitrile": "[CX2]#[NX1]",
    "isocyanate": "[NX2]=[CX2]=[OX1]",
    "nitro": "[$([NX3](=O)=O),$([NX3+](=O)[O-])][!#8]",
    "nitrate ester": "[#6][OX2][$([NX3](=O)=O),$([NX3+](=O)[O-])]",
    "azide": "[$([NX2]=[NX2+]=[NX1-]),$([NX1-][NX2+]#N),$([NX2-][NX2+]#[NX1])]",
    "azo": "[#6][NX2]=[NX2][#6]",
    "diazonium": "[#6][NX2+]#[NX1]",
    "hydrazine": "[NX3;!$(NC=O)][NX3;!$(NC=O)]",
    "thiol": "[SX2H]",
    "sulfide": "[#6][SX2][#6]",
    "disulfide": "[#6][SX2][SX2][#6]",
    "sulfoxide": "[#6][$([SX3]=O),$([SX3+][O-])][#6]",
    "sulfone": "[#6][SX4](=O)(=O)[#6]",
    "sulfonamide": "[SX4](=O)(=O)[NX3]",
    "sulfonic acid": "[#6][SX4](=O)(=O)[OX2H,OX1-]",
    "phosphate ester": "[PX4](=O)([OX2][#6])[OX2,OX1-]",
    "alkene": "[CX3]=[CX3]",
    "alkyne": "[CX2]#[CX2]",
    "arene": "[c]1[c][c][c][c][c]1",
    "alkyl halide": "[CX4][F,Cl,Br,I]",
    "aryl halide": "[c][F,Cl,Br,I]",
    "boronic acid": "[#6][BX3]([OX2H])[OX2H]",
    "organometallic bond": "[#6][Li,Na,K,Mg,Zn,Al,Hg,Sn,Pb]",
}
"""SMARTS by name."""
MOST_ATOMS = 300
"""Heavy atoms; a common substructure of larger molecules takes too long to find."""
MCS_SECONDS = 5


class InvalidMolecule(ToolError):
    """Text that is no molecule; the message says why."""


@dataclass(frozen=True)
class Descriptors:
    """What drug chemists look at first.

    Attributes:
        formula: Hill's, with the charge.
        molar_mass_g_per_mol: Average.
        exact_mass_u: Of the commonest isotopes.
        logp: Octanol and water by Crippen's contributions (Wildman and Crippen, J. Chem. Inf.
            Comput. Sci. 39, 868 (1999)).
        tpsa_ang2: Polar surface (Ertl, Rohde and Selzer, J. Med. Chem. 43, 3714 (2000)).
        h_bond_donors: As Lipinski counts: N-H and O-H.
        h_bond_acceptors: Likewise, N and O.
        rotatable_bonds: Single, outside rings, amides excepted.
        rings: Smallest set.
        aromatic_rings: Of them.
        fraction_sp3: Of the carbons.
        qed: Drug-likeness in [0, 1] (Bickerton et al., Nat. Chem. 4, 90 (2012)).
        stereocentres: Atoms, as CIP label or ``?`` for one left open, by index.
        lipinski_violations: Of five (Lipinski et al., Adv. Drug Deliv. Rev. 23, 3 (1997)).
    """

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


def parse_smiles(smiles: str) -> Any:
    """A molecule of RDKit's.

    Raises:
        InvalidMolecule: The SMILES does not parse, breaks a valence, is empty or too large.
        ToolError: RDKit is not installed.
    """
    chem = _rdkit()
    with _quiet():
        molecule = chem.MolFromSmiles(smiles.strip(), sanitize=False)
    if molecule is None:
        raise InvalidMolecule(f"{_short(smiles)} is no SMILES")
    with _quiet():
        problems = chem.DetectChemistryProblems(molecule)
    if problems:
        raise InvalidMolecule(f"{_short(smiles)}: {problems[0].Message()}")
    chem.SanitizeMol(molecule)
    chem.AssignStereochemistry(molecule, cleanIt=True, force=True)
    if not 0 < molecule.GetNumHeavyAtoms() + _hydrogens_only(molecule) <= MOST_ATOMS:
        raise InvalidMolecule(f"{_short(smiles)}: expected 1 to {MOST_ATOMS} heavy atoms")
    # Written and read again, hydrogens set in brackets are hydrogens like all others.
    return chem.RemoveHs(molecule)


def canonical_smiles(molecule: Any) -> str:
    """The same text for the same molecule, however it was written."""
    return str(_rdkit().MolToSmiles(molecule))


def inchi(molecule: Any) -> tuple[str, str]:
    """Standard InChI and its key; empty where InChI has none for it."""
    chem = _rdkit()
    with _quiet():
        text = str(chem.MolToInchi(molecule))
    return text, str(chem.InchiToInchiKey(text)) if text else ""


def descriptors(molecule: Any) -> Descriptors:
    """Properties that need no three-dimensional structure."""
    from rdkit.Chem import QED, Crippen, Lipinski, rdMolDescriptors
    from rdkit.Chem import Descriptors as rd

    chem = _rdkit()
    mass, logp = float(rd.MolWt(molecule)), float(Crippen.MolLogP(molecule))
    donors = int(rdMolDescriptors.CalcNumLipinskiHBD(molecule))
    acceptors = int(rdMolDescriptors.CalcNumLipinskiHBA(molecule))
    centres = chem.FindMolChiralCenters(
        molecule, includeUnassigned=True, useLegacyImplementation=False
    )
    return Descriptors(
        formula=str(rdMolDescriptors.CalcMolFormula(molecule)),
        molar_mass_g_per_mol=mass,
        exact_mass_u=float(rd.ExactMolWt(molecule)),
        logp=logp,
        tpsa_ang2=float(rdMolDescriptors.CalcTPSA(molecule)),
        h_bond_donors=donors,
        h_bond_acceptors=acceptors,
        rotatable_bonds=int(rdMolDescriptors.CalcNumRotatableBonds(molecule)),
        rings=int(rdMolDescriptors.CalcNumRings(molecule)),
        aromatic_rings=int(Lipinski.NumAromaticRings(molecule)),
        fraction_sp3=float(rdMolDescriptors.CalcFractionCSP3(molecule)),
        qed=float(QED.qed(molecule)),
        stereocentres=tuple((int(atom), str(label)) for atom, label in centres),
        lipinski_violations=sum([mass > 500.0, logp > 5.0, donors > 5, acceptors > 10]),
    )


def tanimoto(first: Any, second: Any, radius: int = 2) -> float:
    """Likeness in [0, 1] by Morgan fingerprints of 2,048 bits.

    Rogers and Hahn, J. Chem. Inf. Model. 50, 742 (2010).

    Args:
        first: A molecule.
        second: Another.
        radius: Bonds around each atom that are looked at; 2 is known as ECFP4.
    """
    from rdkit import DataStructs
    from rdkit.Chem import rdFingerprintGenerator

    generator = rdFingerprintGenerator.GetMorganGenerator(radius=radius, fpSize=2048)
    return float(
        DataStructs.TanimotoSimilarity(
            generator.GetFingerprint(first), generator.GetFingerprint(second)
        )
    )


def common_substructure(first: Any, second: Any) -> tuple[str, int, bool]:
    """The largest connected common part: SMARTS, atoms, and whether the search was complete."""
    from rdkit.Chem import rdFMCS

    found = rdFMCS.FindMCS([first, second], timeout=MCS_SECONDS, ringMatchesRingOnly=True)
    return str(found.smartsString), int(found.numAtoms), not found.canceled


def matches(molecule: Any, smarts: str) -> list[tuple[int, ...]]:
    """Places where a pattern occurs, as indices of atoms.

    Raises:
        InvalidMolecule: The SMARTS does not parse.
    """
    pattern = _pattern(smarts)
    if pattern is None:
        raise InvalidMolecule(f"{_short(smarts)} is no SMARTS")
    return [tuple(match) for match in molecule.GetSubstructMatches(pattern)]


def functional_groups(molecule: Any) -> dict[str, int]:
    """How often each of :data:`FUNCTIONAL_GROUPS` occurs, those that do."""
    counts = {name: len(matches(molecule, smarts)) for name, smarts in FUNCTIONAL_GROUPS.items()}
    return {name: count for name, count in counts.items() if count}


def element_counts(molecule: Any) -> dict[str, int]:
    """Atoms by symbol, hydrogens too."""
    counts: dict[str, int] = {}
    for atom in molecule.GetAtoms():
        symbol = atom.GetSymbol()
        counts[symbol] = counts.get(symbol, 0) + 1
        if hydrogens := atom.GetTotalNumHs():
            counts["H"] = counts.get("H", 0) + hydrogens
    return counts


def fragments(molecule: Any) -> Sequence[Any]:
    """Ions and molecules of a salt or mixture, one by one."""
    return list(_rdkit().GetMolFrags(molecule, asMols=True))


@lru_cache(maxsize=1024)
def _pattern(smarts: str) -> Any:
    with _quiet():
        return _rdkit().MolFromSmarts(smarts)


def _hydrogens_only(molecule: Any) -> int:
    """One for molecular hydrogen and the proton, which hold no heavy atom."""
    return int(molecule.GetNumAtoms() > 0 and molecule.GetNumHeavyAtoms() == 0)


def _rdkit() -> Any:
    try:
        from rdkit import Chem
    except ModuleNotFoundError as error:
        raise ToolError("molecules need RDKit: pip install 'ray_matdesign[chemistry]'") from error
    return Chem


def _quiet() -> Any:
    """RDKit writes what it thinks of a text to standard error; the caller is told by an error."""
    from rdkit import rdBase

    return rdBase.BlockLogs()


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")
