"""Processing: molecules, with RDKit."""

from __future__ import annotations

from random import Random
from typing import Any

from ray_matdesign.agents.benchmark.problem import Book
from ray_matdesign.agents.benchmark.tolerance import Tolerance

BOOK = Book("processing")

_MOLECULES = {
    "aspirin": "CC(=O)Oc1ccccc1C(=O)O",
    "caffeine": "Cn1cnc2c1c(=O)n(C)c(=O)n2C",
    "ibuprofen": "CC(C)Cc1ccc(cc1)C(C)C(=O)O",
    "paracetamol": "CC(=O)Nc1ccc(O)cc1",
    "nicotine": "CN1CCCC1c1cccnc1",
    "menthol": "CC(C)C1CCC(C)CC1O",
    "vanillin": "COc1cc(C=O)ccc1O",
    "lidocaine": "CCN(CC)CC(=O)Nc1c(C)cccc1C",
    "ethylene carbonate": "O=C1OCCO1",
    "salicylic acid": "O=C(O)c1ccccc1O",
    "terephthalic acid": "O=C(O)c1ccc(cc1)C(=O)O",
    "bipyridine": "c1ccc(nc1)-c1ccccn1",
    "glucose": "OCC1OC(O)C(O)C(O)C1O",
    "tryptophan": "NC(Cc1c[nH]c2ccccc12)C(=O)O",
    "warfarin": "CC(=O)CC(c1ccccc1)c1c(O)c2ccccc2oc1=O",
    "naproxen": "COc1ccc2cc(ccc2c1)C(C)C(=O)O",
}


def _molecule(rng: Random) -> dict[str, Any]:
    return {"smiles": _MOLECULES[rng.choice(sorted(_MOLECULES))]}


def _two(rng: Random) -> dict[str, Any]:
    first, second = rng.sample(sorted(_MOLECULES), 2)
    return {"first": _MOLECULES[first], "second": _MOLECULES[second]}


@BOOK.problem(
    "molecular-descriptors",
    functions="With RDKit's `Descriptors.MolWt`, `rdMolDescriptors.CalcTPSA` and "
    "`Crippen.MolLogP`, describe the molecule {smiles}: a dictionary with the keys weight (g/mol), "
    "tpsa (A^2) and logp.",
    goal="For the molecule {smiles}, give a dictionary: its molar mass in g/mol (weight), its "
    "topological polar surface area in A^2 (tpsa), and Crippen's octanol-water partition "
    "coefficient (logp), as RDKit computes them.",
    answer_type="object",
    tolerance=Tolerance(absolute=0.01),
    packages=("rdkit",),
    draw=_molecule,
)
def molecular_descriptors(smiles: str) -> dict[str, float]:
    """Mass, polar surface and partition coefficient."""
    from rdkit import Chem
    from rdkit.Chem import Crippen, Descriptors, rdMolDescriptors

    molecule = Chem.MolFromSmiles(smiles)
    return {
        "weight": float(Descriptors.MolWt(molecule)),
        "tpsa": float(rdMolDescriptors.CalcTPSA(molecule)),
        "logp": float(Crippen.MolLogP(molecule)),
    }


@BOOK.problem(
    "molecular-similarity",
    functions="With RDKit's `rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=2048)` and "
    "`DataStructs.TanimotoSimilarity`, compare {first} and {second}.",
    goal="How similar are the molecules {first} and {second}, by the Tanimoto coefficient of their "
    "Morgan fingerprints of radius 2 with 2048 bits?",
    answer_type="number",
    tolerance=Tolerance(absolute=2e-3),
    packages=("rdkit",),
    draw=_two,
)
def molecular_similarity(first: str, second: str) -> float:
    """Tanimoto coefficient."""
    from rdkit import Chem, DataStructs
    from rdkit.Chem import rdFingerprintGenerator

    generator = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=2048)
    prints = [generator.GetFingerprint(Chem.MolFromSmiles(smiles)) for smiles in (first, second)]
    return float(DataStructs.TanimotoSimilarity(*prints))


@BOOK.problem(
    "stereoisomers",
    functions="With RDKit's `Chem.FindMolChiralCenters(..., includeUnassigned=True)` and "
    "`CalcNumRotatableBonds`, count the stereocentres and rotatable bonds of {smiles}, and with "
    "`CalcMolFormula` give its formula: a dictionary with the keys centres, rotatable, formula.",
    goal="For the molecule {smiles}, count the potential tetrahedral stereocentres (centres) and "
    "the rotatable bonds in RDKit's default sense (rotatable), and give the molecular formula in "
    "Hill order (formula), as a dictionary.",
    answer_type="object",
    tolerance=Tolerance(),
    packages=("rdkit",),
    draw=_molecule,
)
def stereoisomers(smiles: str) -> dict[str, Any]:
    """Counts and formula."""
    from rdkit import Chem
    from rdkit.Chem import rdMolDescriptors

    molecule = Chem.MolFromSmiles(smiles)
    return {
        "centres": len(Chem.FindMolChiralCenters(molecule, includeUnassigned=True)),
        "rotatable": int(rdMolDescriptors.CalcNumRotatableBonds(molecule)),
        "formula": str(rdMolDescriptors.CalcMolFormula(molecule)),
    }


_GROUPS = {"carbonyl groups": "[CX3]=[OX1]", "hydroxyl groups": "[OX2H]", "ether oxygens":
           "[OD2]([#6])[#6]", "aromatic atoms": "a", "methyl groups": "[CH3]"}  # fmt: skip


def _groups(rng: Random) -> dict[str, Any]:
    name = rng.choice(sorted(_GROUPS))
    chosen = rng.sample(sorted(_MOLECULES), 5)
    return {"name": name, "pattern": _GROUPS[name], "smiles": [_MOLECULES[c] for c in chosen]}


@BOOK.problem(
    "functional-groups",
    functions="With RDKit's `GetSubstructMatches` and the SMARTS pattern {pattern}, count the "
    "matches in each of these molecules, as a list: {smiles}.",
    goal="How many {name} does each of these molecules have? Answer with a list of integers, and "
    "mean by that what the SMARTS pattern {pattern} matches: {smiles}.",
    answer_type="list",
    tolerance=Tolerance(),
    packages=("rdkit",),
    draw=_groups,
)
def functional_groups(name: str, pattern: str, smiles: list[str]) -> list[int]:
    """Matches in each molecule."""
    from rdkit import Chem

    sought = Chem.MolFromSmarts(pattern)
    return [len(Chem.MolFromSmiles(text).GetSubstructMatches(sought)) for text in smiles]
