# A worker for GPUs, or for the CPU where there is none. The CUDA libraries come with torch; the
# driver comes from the host. The command `headgraft` is in the API's image, not here.
FROM python:3.11.14-slim-bookworm AS build
RUN python -m venv /opt/headgraft
ENV PATH=/opt/headgraft/bin:$PATH
WORKDIR /src
COPY constraints.txt ./
# Gigabytes that change with their pins only, in a layer that our own changes leave alone.
RUN pip install --no-cache-dir --constraint constraints.txt torch torchvision
COPY pyproject.toml README.md LICENSE ./
COPY models ./models
COPY service ./service
COPY workers ./workers
RUN pip install --no-cache-dir --constraint constraints.txt ".[worker]"

FROM python:3.11.14-slim-bookworm
# The same number in both images: they share the volume of the artifacts.
RUN useradd --uid 10001 --home-dir /var/lib/headgraft --no-log-init headgraft \
    && install --directory --owner=headgraft --group=headgraft \
        /var/lib/headgraft /var/cache/headgraft
COPY --from=build /opt/headgraft /opt/headgraft
# utility: without nvidia-smi the worker would count no GPU. The hub stays out of reach: a job must
# not fetch what the operator did not install.
ENV PATH=/opt/headgraft/bin:$PATH \
    PYTHONSAFEPATH=1 \
    PYTHONUNBUFFERED=1 \
    HF_HUB_OFFLINE=1 \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
USER 10001
WORKDIR /var/lib/headgraft
HEALTHCHECK --interval=30s --timeout=10s --start-period=120s --start-interval=5s \
    CMD ["python", "-m", "headgraft.workers.process.health"]
CMD ["python", "-m", "headgraft.workers.process.parent"]
