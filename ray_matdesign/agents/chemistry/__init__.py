"""Chemistry as typed tools: names, molecules, reactions, amounts, hazards, crystals."""
