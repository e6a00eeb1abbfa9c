# Agents on Ray Serve, SAGA and CASCADE, on CPUs: what the driver has, Ray Serve, and what programs
# of agents are written with.
#
#   docker build -f clusters/docker/agents.Dockerfile -t registry.example.com/ray-matdesign-agents:0.1.0 .
#
# The stronger tier of the sandbox is bwrap's; it works where the container may make user namespaces.
FROM registry.example.com/ray-matdesign-driver:0.1.0

USER root
WORKDIR /build
RUN apt-get update \
    && apt-get install --yes --no-install-recommends bubblewrap \
    && rm -rf /var/lib/apt/lists/* \
    && python -m pip install -c constraints.txt ".[chemistry,pyscf,serve]"

USER ray
WORKDIR /home/ray
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=3 \
    CMD ["pgrep", "-x", "raylet"]
