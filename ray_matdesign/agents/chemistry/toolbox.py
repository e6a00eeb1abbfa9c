"""All chemistry tools in one box."""

from __future__ import annotations

from ray_matdesign.agents.chemistry.crystal_tools import LoadReference, crystal_tools
from ray_matdesign.agents.chemistry.hazard_tools import hazard_tools
from ray_matdesign.agents.chemistry.molecule_tools import molecule_tools
from ray_matdesign.agents.chemistry.reaction_tools import reaction_tools
from ray_matdesign.agents.tools.protocol import Toolbox


def chemistry_tools(load_reference: LoadReference | None = None) -> Toolbox:
    """Substances, molecules, reactions, amounts, hazards and crystals.

    Args:
        load_reference: Gives the reference set for crystals, on first use; the packaged one by
            default.
    """
    return Toolbox(
        [*molecule_tools(), *reaction_tools(), *hazard_tools(), *crystal_tools(load_reference)]
    )
