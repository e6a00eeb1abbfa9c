from __future__ import annotations

import pytest

from ray_matdesign.agents.chemistry.molecules import (
    InvalidMolecule,
    canonical_smiles,
    common_substructure,
    descriptors,
    functional_groups,
    inchi,
    matches,
    parse_smiles,
    tanimoto,
)

ASPIRIN = "CC(=O)Oc1ccccc1C(=O)O"


def test_one_molecule_has_one_name() -> None:
    ways = ["OC(=O)c1ccccc1OC(C)=O", "O=C(C)Oc1ccccc1C(O)=O", ASPIRIN]
    assert len({canonical_smiles(parse_smiles(way)) for way in ways}) == 1
    # The InChIKey of aspirin, as in every database.
    assert inchi(parse_smiles(ASPIRIN))[1] == "BSYNRYMUTXBXSQ-UHFFFAOYSA-N"


def test_properties_of_aspirin() -> None:
    found = descriptors(parse_smiles(ASPIRIN))
    assert found.formula == "C9H8O4"
    assert found.molar_mass_g_per_mol == pytest.approx(180.16, abs=0.01)
    assert found.exact_mass_u == pytest.approx(180.0423, abs=1e-4)
    assert found.tpsa_ang2 == pytest.approx(63.6, abs=0.05)
    assert (found.h_bond_donors, found.h_bond_acceptors) == (1, 4)
    assert (found.rings, found.aromatic_rings, found.lipinski_violations) == (1, 1, 0)
    assert found.qed == pytest.approx(0.55, abs=0.01)
    assert 1.0 < found.logp < 1.6


def test_stereocentres_are_labelled_or_left_open() -> None:
    assert descriptors(parse_smiles("C[C@H](N)C(=O)O")).stereocentres == ((1, "S"),)
    assert descriptors(parse_smiles("CC(N)C(=O)O")).stereocentres == ((1, "?"),)


def test_likeness() -> None:
    aspirin, salicylic = parse_smiles(ASPIRIN), parse_smiles("OC(=O)c1ccccc1O")
    assert tanimoto(aspirin, aspirin) == 1.0
    assert 0.3 < tanimoto(aspirin, salicylic) < 0.6
    assert tanimoto(aspirin, parse_smiles("CCCCCC")) < 0.15
    _, atoms, complete = common_substructure(aspirin, salicylic)
    assert (atoms, complete) == (10, True)


@pytest.mark.parametrize(
    ("smiles", "groups"),
    [
        (ASPIRIN, {"carboxylic acid": 1, "ester": 1, "arene": 1}),
        ("CC(C)=O", {"ketone": 1}),
        ("OCC(O)CO", {"alcohol": 3}),
        ("Nc1ccccc1", {"primary amine": 1, "arene": 1}),
        ("CC(N)=O", {"amide": 1}),
        ("CCOCC", {"ether": 1}),
        ("CC#N", {"nitrile": 1}),
        ("C[N+](=O)[O-]", {"nitro": 1}),
        ("O=C(OOC(=O)c1ccccc1)c1ccccc1", {"peroxide": 1, "arene": 2}),
    ],
)
def test_functional_groups(smiles: str, groups: dict[str, int]) -> None:
    assert functional_groups(parse_smiles(smiles)) == groups


@pytest.mark.parametrize("smiles", ["C1CC", "C(C)(C)(C)(C)C", "not a molecule", "", "C" * 400])
def test_what_is_no_molecule_says_so_in_one_line(
    smiles: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(InvalidMolecule) as caught:
        parse_smiles(smiles)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr().err == ""


def test_a_bad_pattern_is_an_error() -> None:
    with pytest.raises(InvalidMolecule, match="no SMARTS"):
        matches(parse_smiles("CC"), "[C")


def test_explicit_hydrogens_are_hydrogens() -> None:
    assert canonical_smiles(parse_smiles("[H]C([H])([H])O[H]")) == "CO"
