"""An autonomous laboratory: plan a synthesis, have it done, look at what came out, decide again."""
