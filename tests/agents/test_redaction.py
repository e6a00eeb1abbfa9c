from __future__ import annotations

import base64
import json
import random
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ray_matdesign.agents.redaction import redacted

# Made up for these tests, and put together here lest a scanner of the repository take alarm.
TAIL = "q7Zr2Kd9Xw4Lm8Tb3Vn6"
SECRETS = {
    "cloud key": "AKIA" + "IOSFODNN7EXAMPLE",
    "github": "ghp_" + TAIL + "AbCdEf",
    "hub": "hf_" + TAIL,
    "chat": "xoxb-" + "123456789012-" + TAIL,
    "model": "sk-" + "proj-" + TAIL,
    "maps": "AIza" + TAIL + "aB3dE5gH7jK9m",
    "web token": "eyJ" + "hbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0." + TAIL,
    "bearer": "Bearer " + TAIL.lower(),
    "random": "Zk3" + TAIL + "pQ5sY1uH0jC",
}


@pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS)
@pytest.mark.parametrize("shape", ["{}", "I used {} for it.", 'export KEY="{}"\nls', "({})"])
def test_secrets_are_taken_out(secret: str, shape: str) -> None:
    found = redacted(shape.format(secret))
    assert found.kinds
    assert secret.removeprefix("Bearer ") not in found.text
    assert "[redacted: " in found.text


def test_named_secrets_go_and_their_names_stay() -> None:
    for said in (
        'password = "hunter22"',
        "my password is hunter22",
        "DB_PASSWORD=hunter22",
        '{"api_key": "hunter22"}',
        "token: hunter22, then go",
        "--secret=hunter22",
    ):
        text = redacted(said).text
        assert "hunter22" not in text
        assert text.split("[redacted")[0].strip() != ""
    assert redacted('password = "hunter22"').text == "password = [redacted: named secret]"


def test_addresses_lose_their_credentials_only() -> None:
    assert redacted("postgres://ada:lovelace@db.lab:5432/x").text == (
        "postgres://[redacted: credentials]@db.lab:5432/x"
    )


def test_private_keys_go_as_a_whole_even_if_cut_off() -> None:
    block = "-----BEGIN RSA " + "PRIVATE KEY-----\nMIIabc\nxyz\n"
    whole = f"before {block}-----END RSA PRIVATE KEY----- after"
    assert redacted(whole).text == "before [redacted: private key] after"
    assert redacted(block).text == "[redacted: private key]"


@pytest.mark.parametrize(
    "harmless",
    [
        "Li7La3Zr2O12 conducts 3e-4 S/cm; LiNi0.8Mn0.1Co0.1O2 is a cathode.",
        "BaTiO3La2O3SrTiO3CaMnO3LiCoO2NaCl",
        "CC(C)Cc1ccc(cc1)C(C)C(=O)OCCN2CCN(CC2)c3ccccc3",
        "InChI=1S/C9H8O4/c1-6(10)13-8-5-3-2-4-7(8)9(11)12/h2-5H,1H3,(H,11,12)",
        "BSYNRYMUTXBXSQ-UHFFFAOYSA-N",
        "sha256 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "pymatgen.analysis.structure_matcher.StructureMatcher.get_rms_dist(struct1, struct2)",
        "The tokens of the answer: 512. max_tokens=1024, token = None",
        "StructureMatcherWithLatticeScalingAndPrimitiveCellReduction",
        "site-packages/ase/calculators/emt.py:120 in calculate",
        "the secret of hardness: short bonds",
        "123e4567-e89b-12d3-a456-426614174000",
        "a = 5.4310205118, alpha = 90.0, 0.12345678901234567890123456",
    ],
)
def test_chemistry_and_code_are_left_alone(harmless: str) -> None:
    assert redacted(harmless).text == harmless


@given(st.text(max_size=300))
def test_nothing_changes_the_second_time(text: str) -> None:
    once = redacted(text).text
    assert redacted(once).text == once


def test_random_strings_rarely_come_through() -> None:
    rng = random.Random(0)
    letters = string.ascii_letters + string.digits
    drawn = ["".join(rng.choices(letters, k=40)) for _ in range(300)]
    drawn += [base64.urlsafe_b64encode(rng.randbytes(32)).decode() for _ in range(300)]
    kept = [one for one in drawn if one in redacted(json.dumps({"x": one})).text]
    assert len(kept) <= 30  # those with fewer than three digits look like words
