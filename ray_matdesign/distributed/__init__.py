"""Ray actors and pools; knows nothing of chemistry.

``executor`` is the Ray side of :class:`ray_matdesign.rl.executor.Executor`; ``pool`` keeps one
role's workers alive and busy; ``host`` is the actor each worker lives in; ``session`` joins or
starts a Ray cluster; ``resources`` says whether it is large enough; ``replay`` keeps the replay
buffer in an actor.
"""
