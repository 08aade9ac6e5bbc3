"""JAX's persistent compilation cache, kept beside the store: a process loads what an earlier one has compiled."""

from __future__ import annotations

import hashlib
import math
import os
import platform
import shutil
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import jax
import jaxlib.version

if TYPE_CHECKING:
    from collections.abc import Callable

FOLDER = ".compiled"
LIMIT_BYTES = 64 * 2**20
"""A network takes 0.2 MB for all its batch sizes, and each of its versions the size of its weights."""
COMPILED = "/jax/core/compile/backend_compile_duration"


def keep_compiled(store: Path, ready_made: Path | None = None) -> None:
    """Sets JAX's compilation cache of this process to a folder beside the store.

    The folder `ready_made`, which container images have, is copied into a cache that lacks its files, and is read in
    place of a cache that cannot be written to. Code for another version of JAX or another processor would not run: each
    has its own folder. Does nothing where the user has set JAX_COMPILATION_CACHE_DIR.
    """
    if jax.config.values["jax_compilation_cache_dir"]:
        return
    baked = ready_made / _version() if ready_made else None
    folder = _beside(store)
    if baked and baked.is_dir():
        if folder and os.access(folder, os.W_OK):
            _fill(folder, baked)
        else:
            folder = folder or baked
    if not folder:
        return
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_enable_xla_caches", "none")  # or the keys would depend on the folder's path
    writable = os.access(folder, os.W_OK)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0 if writable else math.inf)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


def _beside(store: Path) -> Path | None:
    """The folder for this version of JAX and this processor; None: there is none, and it cannot be made."""
    everything = store / FOLDER
    folder = everything / _version()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:  # in a read-only store, what is there is still of use
        if not folder.is_dir():
            return None
    _shrink(everything)
    return folder


def _fill(folder: Path, baked: Path) -> None:
    """Copies what is missing; another process finds each file whole or not at all."""
    with suppress(OSError):  # what is not copied is compiled
        for path in baked.iterdir():
            if not (folder / path.name).exists():
                aside = folder / f".{path.name}.{os.getpid()}"
                shutil.copyfile(path, aside)
                aside.replace(folder / path.name)


def on_compilation(call: Callable[[], None]) -> None:
    """Registers a function that is called after each compilation in this process, or read from the cache."""

    def listen(event: str, duration_secs: float, **kwargs: str | int) -> None:  # noqa: ARG001 - JAX names them
        if event == COMPILED:
            call()

    jax.monitoring.register_event_duration_secs_listener(listen)


def _version() -> str:
    """The versions of JAX and the processor: what compiled code depends on besides JAX's own keys."""
    processor = hashlib.sha256(_processor().encode()).hexdigest()[:8]
    return f"jax-{jax.__version__}-{jaxlib.version.__version__}-{processor}"


def _processor() -> str:
    """The model of the processor and its instruction sets."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    return "\n".join(sorted({line for line in lines if line.startswith(("model name", "flags", "Features"))}))


def _shrink(folder: Path) -> None:
    """Removes the files that were read least recently, until the others are below LIMIT_BYTES."""
    with suppress(OSError):  # another process removes files, too, or the folder is read-only
        files = sorted(
            ((p.stat().st_atime, p.stat().st_size, p) for p in folder.rglob("*") if p.is_file()), reverse=True
        )
        kept = 0
        for _, size, path in files:
            kept += size
            if kept > LIMIT_BYTES:
                path.unlink()
