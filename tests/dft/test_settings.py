import pytest
from pydantic import ValidationError

from ray_matdesign.dft.settings import DftSettings, JobflowSettings


def test_effort_does_not_enter_what_numbers_depend_on() -> None:
    more = DftSettings(wall_clock_s=9e4, threads=8, concurrent=4, folder="elsewhere")
    assert more.numerics() == DftSettings().numerics()


@pytest.mark.parametrize(
    "change",
    [
        {"functional": "lda"},
        {"kpoint_spacing_per_ang": 0.2},
        {"smearing_ev": 0.1},
        {"spin": "none"},
        {"code": "pyscf"},
        {"pseudopotentials": "mine"},
    ],
)
def test_everything_else_does(change: dict) -> None:
    assert DftSettings(**change).numerics() != DftSettings().numerics()


def test_vasp_depends_on_its_maker_and_not_on_the_settings_of_other_codes() -> None:
    plain = DftSettings(code="vasp")
    assert DftSettings(code="vasp", smearing_ev=0.2).numerics() == plain.numerics()
    polled = DftSettings(code="vasp", jobflow=JobflowSettings(submit="remote", poll_s=1.0))
    assert polled.numerics() == plain.numerics()
    other = DftSettings(code="vasp", jobflow=JobflowSettings(maker="my_lab:Maker"))
    assert other.numerics() != plain.numerics()


def test_a_grid_too_coarse_for_the_density_is_refused() -> None:
    with pytest.raises(ValidationError, match="density_cutoff_ev"):
        DftSettings(wavefunction_cutoff_ev=1100.0)
