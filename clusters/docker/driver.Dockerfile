# Ray's head node and the driver of a run: no GPU, no generator or potential of other packages.
#
#   docker build -f clusters/docker/driver.Dockerfile -t registry.example.com/ray-matdesign-driver:0.1.0 .
#
# --build-arg PIP_EXTRA_INDEX_URL=... with an index of CPU builds of torch saves gigabytes of CUDA.
# All images of a cluster must hold the same Python and the same Ray.
FROM python:3.11.13-slim-bookworm

ARG PIP_EXTRA_INDEX_URL=""
ENV PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PYTHONUNBUFFERED=1 \
    OMP_NUM_THREADS=1 \
    RAY_AUTH_MODE=token \
    RAY_USAGE_STATS_ENABLED=0

# Ray's and its operator's scripts call ps, wget and rsync; tini passes signals on and buries zombies.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends procps rsync tini wget \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 1000 ray \
    && install --directory --owner=ray --group=ray /runs

WORKDIR /build
COPY constraints.txt ./
# Apart from the rest, because these take longest and change least.
RUN python -m pip install -c constraints.txt "ray[default]==2.60.0" "torch==2.13.0"
COPY pyproject.toml README.md LICENSE ./
COPY ray_matdesign ray_matdesign
RUN python -m pip install -c constraints.txt .
COPY --chmod=755 clusters/run-or-resume.sh /usr/local/bin/run-or-resume.sh

USER ray
WORKDIR /runs
EXPOSE 6379 8265 8080
HEALTHCHECK --interval=30s --timeout=20s --start-period=60s --retries=3 \
    CMD ["ray", "health-check"]
ENTRYPOINT ["tini", "--"]
CMD ["ray", "start", "--head", "--num-cpus=0", "--dashboard-host=0.0.0.0", "--metrics-export-port=8080", "--block"]
