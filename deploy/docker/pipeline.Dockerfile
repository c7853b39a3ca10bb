# syntax=docker/dockerfile:1
# Code location, runs, webserver and daemon of Dagster, and the command: one image, told by its arguments which of them it is.
# Build it in the root of the checkout: docker build -f deploy/docker/pipeline.Dockerfile -t mineru-pipeline:0.1.0 .

FROM python:3.11.14-slim-bookworm AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
COPY deploy/docker/build.txt locks/cluster.txt deploy/docker/trim.py ./
# Nothing is compiled: of every package the wheel with the locked hash, or none. pip itself stays in this stage.
RUN python -m venv --without-pip /opt/venv \
    && python -m pip --python /opt/venv/bin/python install --no-compile --no-deps --require-hashes --only-binary :all: -r cluster.txt \
    && python -m pip install --no-deps --require-hashes --only-binary :all: -r build.txt
COPY pyproject.toml README.md LICENSE ./
COPY mineru_pipeline mineru_pipeline
COPY resources resources
COPY assets assets
COPY sensors sensors
# Compiled here, for the root file system is read-only later. One file of a library is for Python 2 and cannot be.
RUN python -m pip wheel --no-deps --no-build-isolation --wheel-dir wheels . \
    && python -m pip --python /opt/venv/bin/python install --no-compile --no-deps --no-index wheels/*.whl \
    && python trim.py /opt/venv \
    && /opt/venv/bin/python -m compileall -q -j 0 -x olefile2 /opt/venv/lib

FROM python:3.11.14-slim-bookworm
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="mineru-pipeline" \
      org.opencontainers.image.description="Turns PDFs into structured text: Dagster's processes and the workers, without GPU, torch or weights" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
RUN groupadd --gid 10001 mineru \
    && useradd --uid 10001 --gid 10001 --home-dir /tmp --no-create-home --shell /usr/sbin/nologin mineru \
    && install -d -o 10001 -g 10001 /opt/dagster/home \
    && python -m pip uninstall --yes --root-user-action=ignore pip setuptools wheel
COPY --from=build /opt/venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH \
    HOME=/tmp \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    DAGSTER_HOME=/opt/dagster/home \
    DAGSTER_DISABLE_TELEMETRY=1 \
    MINERU_PIPELINE__DAGSTER__HOME=/opt/dagster/home \
    MINERU_PIPELINE__DATA_DIR=/tmp/mineru-pipeline
USER 10001:10001
WORKDIR /opt/dagster/home
# The webserver's, the code location's, and the metrics of a run.
EXPOSE 3000 4000 9464
# Each role is asked in another way, so the health checks are in compose.yaml and in the manifests.
HEALTHCHECK NONE
CMD ["dagster", "api", "grpc", "--module-name=mineru_pipeline.definitions", "--attribute=defs", "--host=0.0.0.0", "--port=4000", "--location-name=mineru_pipeline"]
