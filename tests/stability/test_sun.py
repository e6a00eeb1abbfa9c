import pytest

from ray_matdesign.config.schema import StabilitySettings
from ray_matdesign.stability.build import build_reference
from ray_matdesign.stability.sun import SunFlags, sun_flags, sun_shares
from tests.crystals.examples import rock_salt, rotated, zinc_blende


def test_flags_and_shares(tmp_path):
    reference = build_reference([("salt", rock_salt())], [], {11: 0.0, 17: 0.0}, tmp_path)
    batch = [rock_salt(), zinc_blende(11, 17), rotated(zinc_blende(11, 17), 4), rock_salt(19, 17)]
    flags = sun_flags(batch, [0.0, 0.1, -0.5, 0.2], reference, StabilitySettings())
    assert flags == [
        SunFlags(stable=True, unique=True, novel=False),
        SunFlags(stable=True, unique=True, novel=True),
        SunFlags(stable=True, unique=False, novel=True),
        SunFlags(stable=False, unique=True, novel=True),
    ]
    assert [f.sun for f in flags] == [False, True, False, False]
    assert flags[3].satisfies(("unique", "novel"))
    assert not flags[3].satisfies(("stable",))
    shares = sun_shares(flags, generated=8)
    assert (shares.stable, shares.unique, shares.novel, shares.sun) == (3 / 8, 3 / 8, 3 / 8, 1 / 8)
    with pytest.raises(ValueError, match="4 crystals judged of 3"):
        sun_shares(flags, generated=3)
