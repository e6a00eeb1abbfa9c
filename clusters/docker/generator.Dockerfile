# Generators and the learner on GPUs: what the reward workers have, and MatterGen.
#
#   docker build -f clusters/docker/generator.Dockerfile -t registry.example.com/ray-matdesign-generator:0.1.0 .
#
# A superset of the reward workers' image, because Ray places workers by CPUs and GPUs: in a cluster
# that runs MatterGen, all GPU nodes use this one.
FROM registry.example.com/ray-matdesign-reward:0.1.0

USER root
WORKDIR /build
# MatterGen asks for versions that fit nothing else here: without its dependencies.
RUN python -m pip install -c constraints.txt ".[mattergen]" \
    && python -m pip install --no-deps "mattergen==1.0.3"

USER ray
WORKDIR /home/ray
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=3 \
    CMD ["pgrep", "-x", "raylet"]
