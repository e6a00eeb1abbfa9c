"""RLlib (Ray): the design loop as an ``Algorithm``, and PPO on crystals built step by step.

``matinvent`` adapts the loop of :mod:`ray_matdesign.rl.loop`; ``campaign`` is how an RLlib
configuration names a design campaign. ``assembly`` and ``appraisal`` build crystals from the
structure types of :mod:`ray_matdesign.crystals.prototypes` and have them judged by the run's own
gate; ``environment`` offers that to Gymnasium, ``ppo`` trains on it.
"""
