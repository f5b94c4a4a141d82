# The HTTP front end. No torch: the client and the extra `service`.
FROM python:3.11.14-slim-bookworm AS build
RUN python -m venv /opt/headgraft
ENV PATH=/opt/headgraft/bin:$PATH
WORKDIR /src
COPY constraints.txt pyproject.toml README.md LICENSE ./
COPY models ./models
COPY service ./service
COPY workers ./workers
RUN pip install --no-cache-dir --constraint constraints.txt ".[service]"

FROM python:3.11.14-slim-bookworm
# The same number in both images: they share the volume of the artifacts.
RUN useradd --uid 10001 --home-dir /var/lib/headgraft --no-log-init headgraft \
    && install --directory --owner=headgraft --group=headgraft /var/lib/headgraft
COPY --from=build /opt/headgraft /opt/headgraft
ENV PATH=/opt/headgraft/bin:$PATH \
    PYTHONSAFEPATH=1 \
    PYTHONUNBUFFERED=1
USER 10001
WORKDIR /var/lib/headgraft
EXPOSE 8000 9100
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --start-interval=1s \
    CMD ["python", "-c", "import httpx; httpx.get('http://127.0.0.1:8000/readyz', trust_env=False).raise_for_status()"]
CMD ["python", "-m", "headgraft.service.server"]
