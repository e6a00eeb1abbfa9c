# A language model behind an OpenAI-compatible endpoint, on a GPU; no Ray, none of this package.
#
#   docker build -f clusters/docker/vllm.Dockerfile -t registry.example.com/ray-matdesign-vllm:0.1.0 .
#   docker run --gpus all -p 8000:8000 -e VLLM_API_KEY -v models:/models IMAGE /models/NAME
FROM python:3.11.13-slim-bookworm

ENV PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PYTHONUNBUFFERED=1 \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    VLLM_NO_USAGE_STATS=1

# vLLM compiles kernels for the GPU it finds.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends build-essential tini wget \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 1000 llm

RUN python -m pip install "vllm==0.32.0" "torch==2.13.0"

USER llm
WORKDIR /home/llm
EXPOSE 8000
# Loading a large model takes minutes.
HEALTHCHECK --interval=30s --timeout=10s --start-period=900s --retries=3 \
    CMD ["wget", "--quiet", "--spider", "http://127.0.0.1:8000/health"]
ENTRYPOINT ["tini", "--", "vllm", "serve"]
