# docker build -t digits:0.1.0 .                               the service, with a model: it answers at once
# docker build -t digits-training:0.1.0 --target training .    python -m training: fit, evaluate, models, …
#
# What is large in the service's image, of at most 1.1 GB unpacked (tests/container/ measures it):
#
#   base image                Debian, Python and pip
#   jaxlib            349 MB  XLA and LLVM: the compiler is the library, whatever is left out of it
#   scipy              81 MB  jax imports it, and pictures are cleaned with it
#   tensorstore        66 MB  what Orbax reads checkpoints with
#   obstore            15 MB  stores in object storage
#
# ACCELERATOR=cuda and =tpu add JAX's plugin from a lock of their own: 3.9 GB with NVIDIA's libraries, 0.7 GB with libtpu.
ARG ACCELERATOR=cpu

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

FROM builder AS accelerated
ARG ACCELERATOR
COPY pyproject.toml requirements-cuda.lock requirements-tpu.lock ./
RUN case "$ACCELERATOR" in \
      cpu) ;; \
      cuda|tpu) uv pip install --require-hashes --only-binary :all: --constraints "requirements-$ACCELERATOR.lock" --requirements pyproject.toml --extra "$ACCELERATOR" ;; \
      *) echo "ACCELERATOR is $ACCELERATOR, want cpu, cuda or tpu" >&2; exit 1 ;; \
    esac

# Dependencies and project are installed apart, so that changed code does not install, push and pull everything again.
# The tests of NumPy and SciPy are 49 MB that nothing imports.
FROM accelerated AS service-dependencies
RUN uv pip install --require-hashes --only-binary :all: --constraints requirements.lock --requirements pyproject.toml --extra service --extra object-storage --extra tracing \
    && find /opt/venv/lib/python3.*/site-packages/numpy /opt/venv/lib/python3.*/site-packages/scipy -type d -name tests -prune -exec rm -r {} +

FROM accelerated AS training-dependencies
RUN uv pip install --require-hashes --only-binary :all: --constraints requirements.lock --requirements pyproject.toml --extra training --extra object-storage

# Ray is not in the lock: what the index has within the bounds of pyproject.toml, without hashes here.
FROM training-dependencies AS ray-dependencies
RUN uv pip install --only-binary :all: --constraints requirements.lock --requirements pyproject.toml --extra training --extra ray

FROM builder AS project
COPY pyproject.toml README.md LICENSE ./
COPY training training
COPY service service
RUN uv pip install --no-deps --build-constraints requirements.lock .


# The user has a number and no name, so that Kubernetes can see that it is not root. /store is there, and that user's,
# so that a named volume mounted on it is writable; so is /cache, for files of a store in object storage. The official
# image has no bytecode of Python's own library, and a root file system that is read-only could not keep any.
FROM base AS runtime
LABEL org.opencontainers.image.title="digits" \
      org.opencontainers.image.description="Train, publish and serve handwritten-digit networks" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="MIT AND CC-BY-SA-3.0"
# PYTHONSAFEPATH: nothing is imported from the working directory.
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONSAFEPATH=1 \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    DIGITS_STORE=/store \
    DIGITS_CACHE=/cache
RUN python -m compileall -q "$(python -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')" \
    && install -d -o 10001 -g 10001 /store /cache
STOPSIGNAL SIGTERM
USER 10001:10001

FROM runtime AS training
LABEL org.opencontainers.image.title="digits-training"
COPY --from=training-dependencies /opt/venv /opt/venv
COPY --from=project /opt/venv /opt/venv
CMD ["python", "-m", "training", "--help"]

FROM runtime AS ray
LABEL org.opencontainers.image.title="digits-ray"
COPY --from=ray-dependencies /opt/venv /opt/venv
COPY --from=project /opt/venv /opt/venv
CMD ["python", "-m", "training", "predict", "--help"]

FROM runtime AS service-without-model
COPY --from=service-dependencies /opt/venv /opt/venv
COPY --from=project /opt/venv /opt/venv
# After SIGTERM the service takes requests for a second more, and asks their clients to connect elsewhere.
ENV DIGITS_HOST=0.0.0.0 \
    DIGITS_COMPILED=/opt/compiled \
    DIGITS_DRAIN_PAUSE_S=1


FROM training AS model
RUN JAX_PLATFORMS=cpu python -m training fit lenet --quick

# What the service compiles for the model, once: it loads it as it will there.
FROM service-without-model AS warm
COPY --from=model --chown=10001:10001 /store /store
RUN JAX_PLATFORMS=cpu python -c "from service.models.loader import Loader; from service.observability.metrics import Metrics; from service.settings import ServiceSettings; \
    loader = Loader(ServiceSettings(), Metrics()); loader.load('lenet', loader.plan('lenet').default)" \
    && mv /store/.compiled /tmp/compiled

# The last stage is what is built when no target is named. A store that is mounted on /store hides the one that is baked
# in: an empty one is an error, for nobody should get answers of a model that they did not choose.
FROM service-without-model AS service
COPY --from=model --chown=10001:10001 /store /store
COPY --from=warm --chown=0:0 /tmp/compiled /opt/compiled
EXPOSE 8000
# No proxy of the environment gets between the container and itself, and it need not prove to itself who it is.
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import os, ssl, urllib.request as u; scheme = 'https' if os.environ.get('DIGITS_TLS_CERT') else 'http'; u.build_opener(u.ProxyHandler({}), u.HTTPSHandler(context=ssl._create_unverified_context())).open(scheme + '://127.0.0.1:' + os.environ.get('DIGITS_PORT', '8000') + '/readyz', timeout=2)"]
CMD ["python", "-m", "service"]
