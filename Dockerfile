# docker build -t digits:0.1.0 .                               the service, which answers from the store mounted on /store
# docker build -t digits-training:0.1.0 --target training .    python -m training: fit, evaluate, models, …

# Pinned by its tag: a digest has to be looked up in a registry, which offline nobody can. Where builds have to be
# identical, append @sha256:….
FROM python:3.11-slim-bookworm AS base


# pip can't install just the part of the lock that an extra needs and check its hashes: it gives up on hashes in a
# constraints file (pypa/pip#12956). uv does it, and is itself in the lock. Its cache and the development tools never enter
# a stage that ships.
FROM base AS builder
ENV UV_NO_CACHE=1 UV_COMPILE_BYTECODE=1 UV_PYTHON_DOWNLOADS=never VIRTUAL_ENV=/opt/venv
WORKDIR /build
COPY requirements.lock .
RUN sed -n '/^uv==/,/[^\\]$/p' requirements.lock > uv.txt \
    && pip install --no-cache-dir --require-hashes --requirement uv.txt \
    && uv venv /opt/venv

# Dependencies and project are installed apart, so that changed code does not install, push and pull everything again.
FROM builder AS service-dependencies
COPY pyproject.toml .
RUN uv pip install --require-hashes --only-binary :all: --constraints requirements.lock --requirements pyproject.toml --extra service

FROM builder AS training-dependencies
COPY pyproject.toml .
RUN uv pip install --require-hashes --only-binary :all: --constraints requirements.lock --requirements pyproject.toml --extra training

FROM builder AS project
COPY pyproject.toml README.md LICENSE ./
COPY training training
COPY service service
RUN uv pip install --no-deps --build-constraints requirements.lock .


# The user has a number and no name, so that Kubernetes can see that it is not root. /store is there, and that user's,
# so that a named volume mounted on it is writable.
FROM base AS runtime
LABEL org.opencontainers.image.title="digits" \
      org.opencontainers.image.description="Train, publish and serve handwritten-digit networks" \
      org.opencontainers.image.licenses="MIT AND CC-BY-SA-3.0"
# PYTHONSAFEPATH: nothing is imported from the working directory.
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONSAFEPATH=1 \
    PYTHONUNBUFFERED=1 \
    DIGITS_STORE=/store
RUN install -d -o 10001 -g 10001 /store
STOPSIGNAL SIGTERM
USER 10001:10001

FROM runtime AS training
LABEL org.opencontainers.image.title="digits-training"
COPY --from=training-dependencies /opt/venv /opt/venv
COPY --from=project /opt/venv /opt/venv
CMD ["python", "-m", "training", "--help"]

# The last stage is what is built when no target is named.
FROM runtime AS service
COPY --from=service-dependencies /opt/venv /opt/venv
COPY --from=project /opt/venv /opt/venv
ENV DIGITS_HOST=0.0.0.0
EXPOSE 8000
# No proxy of the environment gets between the container and itself.
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as u; u.build_opener(u.ProxyHandler({})).open('http://127.0.0.1:' + os.environ.get('DIGITS_PORT', '8000') + '/readyz', timeout=2)"]
CMD ["python", "-m", "service"]
