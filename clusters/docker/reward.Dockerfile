# Reward workers on GPUs: CHGNet, SevenNet and MatterSim. Enough for every role of a run with the
# packaged generator.
#
#   docker build -f clusters/docker/reward.Dockerfile -t registry.example.com/ray-matdesign-reward:0.1.0 .
#
# The torch of the default index brings its CUDA; the host needs a driver and NVIDIA's container
# toolkit.
FROM python:3.11.13-slim-bookworm

ENV PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PYTHONUNBUFFERED=1 \
    OMP_NUM_THREADS=1 \
    RAY_AUTH_MODE=token \
    RAY_USAGE_STATS_ENABLED=0 \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility

RUN apt-get update \
    && apt-get install --yes --no-install-recommends procps rsync tini wget \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 1000 ray

WORKDIR /build
COPY constraints.txt ./
# Apart from the rest, because these take longest and change least.
RUN python -m pip install -c constraints.txt "ray[default]==2.60.0" "torch==2.13.0"
COPY pyproject.toml README.md LICENSE ./
COPY ray_matdesign ray_matdesign
# MatterSim asks for much that its model never imports: without its dependencies.
RUN python -m pip install -c constraints.txt ".[sevennet,mattersim]" \
    && python -m pip install --no-deps "mattersim==1.2.3"

USER ray
WORKDIR /home/ray
EXPOSE 8080
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=3 \
    CMD ["pgrep", "-x", "raylet"]
ENTRYPOINT ["tini", "--"]
# RAY_ADDRESS names the head, HOST:6379; the token comes in RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH.
CMD ["sh", "-c", "exec ray start --address=\"$RAY_ADDRESS\" --metrics-export-port=8080 --block"]
