"""How well agents solve tasks by code: questions, a judge, a runner, and what runs amount to."""
