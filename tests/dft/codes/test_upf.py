from pathlib import Path

import pytest

from ray_matdesign.dft.codes.upf import Pseudopotential, find_pseudopotentials
from ray_matdesign.dft.result import DftError

VERSION_2 = """<UPF version="2.0.1"><PP_INFO>long & <unescaped></PP_INFO>
<PP_HEADER element="{element}" pseudo_type="{kind}" functional="{functional}"
  has_so="{spin_orbit}" z_valence="{valence}"/></UPF>"""

VERSION_1 = """<PP_HEADER>
   0                   Version Number
  O                    Element
   US                  Ultrasoft pseudopotential
    F                  Nonlinear Core Correction
 SLA  PW   PBE  PBE    PBE  Exchange-Correlation functional
    6.00000000000      Z valence
</PP_HEADER>"""


def write(folder: Path, name: str, **facts: str) -> None:
    header = {"kind": "PAW", "functional": "PBE", "spin_orbit": "F", "valence": "4.0", **facts}
    (folder / name).write_text(VERSION_2.format(**header))


def test_both_versions_of_the_format_are_read(tmp_path: Path) -> None:
    write(tmp_path, "si.upf", element="Si", functional=" SLA-PW-PBE-PBE", valence="4.000E+00")
    (tmp_path / "O.pbe.UPF").write_text(VERSION_1)
    found = find_pseudopotentials(tmp_path, [14, 8], "pbe")
    assert {s: (p.path.name, p.valence) for s, p in found.items()} == {
        "Si": ("si.upf", 4.0),
        "O": ("O.pbe.UPF", 6.0),
    }


def test_other_functionals_and_fully_relativistic_files_are_passed_over(tmp_path: Path) -> None:
    write(tmp_path, "Si.a.upf", element="Si", functional="SLA PZ NOGX NOGC")
    write(tmp_path, "Si.b.upf", element="Si", spin_orbit=".true.")
    write(tmp_path, "Si.c.upf", element="Si")
    assert find_pseudopotentials(tmp_path, [14], "pbe")["Si"].path.name == "Si.c.upf"
    assert find_pseudopotentials(tmp_path, [14], "lda")["Si"].path.name == "Si.a.upf"


def test_missing_elements_are_named(tmp_path: Path) -> None:
    write(tmp_path, "Si.upf", element="Si")
    write(tmp_path, "S.upf", element="S")
    with pytest.raises(DftError, match="no PBE pseudopotential for Mg, O in"):
        find_pseudopotentials(tmp_path, [12, 8, 14], "pbe")
    with pytest.raises(DftError, match="no folder"):
        find_pseudopotentials(tmp_path / "none", [14], "pbe")


def test_a_file_without_a_header_is_no_pseudopotential(tmp_path: Path) -> None:
    (tmp_path / "Si.upf").write_text("<html>not found</html>")
    assert Pseudopotential.read(tmp_path / "Si.upf") is None
