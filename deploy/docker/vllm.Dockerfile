# syntax=docker/dockerfile:1
# vLLM with MinerU's logits processor: the model server, for a GPU. The weights are mounted; the image has none.
# Build it in the root of the checkout: docker build -f deploy/docker/vllm.Dockerfile -t mineru-pipeline-vllm:0.1.0 .

# The version that locks/gpu-server.txt pins; mineru-vl-utils allows 0.19.1 to below 0.29.
FROM vllm/vllm-openai:v0.28.0
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="mineru-pipeline-vllm" \
      org.opencontainers.image.description="vLLM's OpenAI server with MinerU's logits processor" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY deploy/docker/vllm.txt /opt/mineru/vllm.txt
# What mineru-vl-utils needs beyond that is in the image already, which the import proves while it is built.
# torch asks for the name of the user, so the user needs one.
RUN python3 -m pip install --no-cache-dir --break-system-packages --no-deps --require-hashes --only-binary :all: -r /opt/mineru/vllm.txt \
    && python3 -c "import mineru_vl_utils.mineru_client" \
    && groupadd --gid 10001 mineru \
    && useradd --uid 10001 --gid 10001 --home-dir /tmp --no-create-home --shell /usr/sbin/nologin mineru \
    && install -d -o 10001 -g 10001 /weights /cache
ENV HOME=/tmp \
    HF_HOME=/weights \
    VLLM_CACHE_ROOT=/tmp/vllm \
    VLLM_NO_USAGE_STATS=1
USER 10001:10001
WORKDIR /tmp
EXPOSE 8000
# Loading and compiling take minutes; /health answers once that is over.
HEALTHCHECK --interval=10s --timeout=5s --start-period=600s --retries=6 \
    CMD ["python3", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/health', timeout=4)"]
ENTRYPOINT ["vllm", "serve"]
CMD ["opendatalab/MinerU2.5-Pro-2605-1.2B", "--host=0.0.0.0", "--port=8000", "--logits-processors=mineru_vl_utils:MinerULogitsProcessor"]
