# A language model on Ray Serve, on GPUs: what the reward workers have, Ray Serve, and vLLM in a
# Python of its own, whose versions need not agree with anything else's.
#
#   docker build -f clusters/docker/llm.Dockerfile -t registry.example.com/ray-matdesign-llm:0.1.0 .
FROM registry.example.com/ray-matdesign-reward:0.1.0

USER root
WORKDIR /build
# vLLM compiles kernels for the GPU it finds.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends build-essential \
    && rm -rf /var/lib/apt/lists/* \
    && python -m pip install -c constraints.txt ".[serve]"
RUN python -m venv /home/ray/vllm \
    && /home/ray/vllm/bin/python -m pip install "vllm==0.32.0" "torch==2.13.0"

USER ray
WORKDIR /home/ray
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=3 \
    CMD ["pgrep", "-x", "raylet"]
