# Every stage without torch, by --build-arg STAGE=tda; compose.yaml has the arguments of each one.
# Build from the repository root: make build/tda, or docker compose build tda

# --build-arg BASE=NAME replaces the pinned base where no registry can be reached: make base
ARG BASE=pinned
FROM python:3.11.13-slim-bookworm@sha256:86adf8dbadc3d6e82ee5dd2c74bec2e1c2467cdad47886280501df722372d2e1 AS pinned

# The installer, which no final image holds.
FROM ${BASE} AS uv
COPY images/uv.txt /opt/
RUN python3 -m venv /opt/uv && \
    /opt/uv/bin/python -m pip install --no-cache-dir --require-hashes --requirement /opt/uv.txt

FROM ${BASE} AS packages
ARG STAGE
COPY images/${STAGE}/requirements.txt /opt/
RUN --mount=from=uv,source=/opt/uv,target=/opt/uv \
    --mount=type=cache,target=/root/.cache/uv \
    /opt/uv/bin/uv venv --python python3 /opt/venv && \
    /opt/uv/bin/uv pip install --link-mode=copy --compile-bytecode --python /opt/venv/bin/python \
        --require-hashes --requirement /opt/requirements.txt

FROM ${BASE}
COPY --from=packages /opt/venv /opt/venv
# Any uid may run this on a read-only root: what packages cache goes to /tmp, and a uid without an account has a name.
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp \
    LOGNAME=stage \
    STAGE_VOLUME=/app/data \
    PAGER=cat
WORKDIR /app
COPY shared shared
COPY stages/__init__.py stages/__main__.py stages/
ARG STAGE
COPY stages/${STAGE} stages/${STAGE}
USER 1000:1000
# Runs the only stage that lies here.
ENTRYPOINT ["python", "-m", "stages"]

ARG TITLE
ARG DESCRIPTION
ARG LICENCES=MIT
# Last, because they change with every commit: the commit, and a digest of all that this file copies.
ARG REVISION=unknown
ARG INPUTS=unknown
ENV STAGE_REVISION=$REVISION \
    STAGE_INPUTS=$INPUTS
LABEL org.opencontainers.image.title="$TITLE" \
      org.opencontainers.image.description="$DESCRIPTION" \
      org.opencontainers.image.licenses="$LICENCES" \
      org.opencontainers.image.revision="$REVISION" \
      lcz42-edge.inputs="$INPUTS"
