# sr-realesrgan, whose package needs an old torch of its own. On CPU or CUDA.
# Build from the repository root: make build/sr-realesrgan, or docker compose build sr-realesrgan

# --build-arg BASE=NAME replaces the pinned base where no registry can be reached: make base
ARG BASE=pinned
# --build-arg WHEELS=NAME --build-arg OFFLINE=1 takes packages from an image of their files: make from-kit
ARG WHEELS=scratch
# The time of all files that a build adds, in seconds since 1970, so that every build gives the same file tree.
ARG SOURCE_DATE_EPOCH=1577836800
FROM python:3.11.13-slim-bookworm@sha256:86adf8dbadc3d6e82ee5dd2c74bec2e1c2467cdad47886280501df722372d2e1 AS pinned

FROM ${WHEELS} AS wheels

# No program of the base runs as its owner instead of as its caller.
FROM ${BASE} AS base
RUN find / -xdev -type f -perm /6000 -exec chmod a-s {} +

# The installer, which no final image holds.
FROM base AS uv
ARG OFFLINE
COPY images/uv.txt images/settle /opt/
RUN --mount=from=wheels,target=/wheels \
    python3 -m venv /opt/uv && \
    /opt/uv/bin/python -m pip install --no-cache-dir ${OFFLINE:+--no-index} --find-links /wheels \
        --require-hashes --requirement /opt/uv.txt && \
    mv /opt/settle /opt/uv/bin/

# The stage, readable by anyone.
FROM base AS sources
ARG SOURCE_DATE_EPOCH
WORKDIR /app
COPY shared shared
COPY stages/__init__.py stages/__main__.py stages/
ARG STAGE
COPY stages/${STAGE} stages/${STAGE}
RUN --mount=from=uv,source=/opt/uv,target=/opt/uv /opt/uv/bin/settle /app

# One layer for all of it: the torch of this image is in no other. Without a download cache, so that no wheel is on
# disk twice. The lock is complete; what it leaves out, and why basicsr is built in place, is said in images/uv.toml.
# basicsr writes the time of its build into a file of its own, whose digest its RECORD then has.
FROM base
ARG SOURCE_DATE_EPOCH
ARG OFFLINE
ARG STAGE
COPY images/${STAGE}/requirements.txt /opt/
RUN --mount=from=uv,source=/opt/uv,target=/opt/uv \
    --mount=from=wheels,target=/wheels \
    /opt/uv/bin/uv venv --python python3 /opt/venv && \
    /opt/uv/bin/uv pip install --no-cache ${OFFLINE:+--no-index} --find-links /wheels \
        --python /opt/venv/bin/python --no-deps --no-build-isolation-package basicsr \
        --require-hashes --requirement /opt/requirements.txt && \
    cd /opt/venv/lib/python3*/site-packages && \
    sed -i '/^# TIME: /d' basicsr/version.py && sed -i 's|^\(basicsr/version.py\),.*|\1,,|' basicsr-*.dist-info/RECORD && \
    /opt/uv/bin/settle /opt/venv /opt/requirements.txt
# Any uid may run this on a read-only root: what packages cache goes to /tmp, and a uid without an account has a name.
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp \
    LOGNAME=stage \
    STAGE_VOLUME=/app/data \
    PAGER=cat \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
COPY --from=sources /app /app
WORKDIR /app
# What the steps above have done to folders of the base, and where they had something mounted.
RUN rmdir /opt/uv /wheels && touch --date="@$SOURCE_DATE_EPOCH" /app /opt /opt/venv
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
