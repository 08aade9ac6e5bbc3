"""What XLA compiles, kept on disk for the next process: a network is ready at once when it was served here before."""

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

from training.filesystem import is_mounted

if TYPE_CHECKING:
    from collections.abc import Callable

    from etils import epath

FOLDER = ".compiled"
LIMIT_BYTES = 64 * 2**20
"""A network takes 0.2 MB, in all its sizes of batches, and each of its versions as much as its weights."""
COMPILED = "/jax/core/compile/backend_compile_duration"


def keep_compiled(store: epath.Path, ready_made: Path | None = None) -> None:
    """From now on, what this process compiles is looked up beside the store first, and kept there if it can be.

    A folder `ready_made`, as images have one baked in, fills a store that has nothing compiled yet, or stands in for
    one that cannot be written to. Code for another version of JAX or for another processor is kept apart: it would not
    run. Does nothing where the user has said where JAX should keep it (JAX_COMPILATION_CACHE_DIR).
    """
    if jax.config.values["jax_compilation_cache_dir"]:
        return
    baked = ready_made / _version() if ready_made else None
    folder = _beside(store) if is_mounted(store) else None
    if baked and baked.is_dir():
        if folder and os.access(folder, os.W_OK):
            _fill(folder, baked)
        else:
            folder = folder or baked
    if not folder:
        return
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_enable_xla_caches", "none")  # or its keys have the folder's path in them
    writable = os.access(folder, os.W_OK)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0 if writable else math.inf)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


def _beside(store: epath.Path) -> Path | None:
    """The folder of this version beside the store; None: there is none, and it cannot be made."""
    everything = Path(store) / FOLDER
    folder = everything / _version()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:  # of a store that cannot be written to, what is there is still of use
        if not folder.is_dir():
            return None
    _shrink(everything)
    return folder


def _fill(folder: Path, baked: Path) -> None:
    """Copies what is missing; others that start at this moment find a file whole or not at all."""
    with suppress(OSError):  # without it, it is compiled
        for path in baked.iterdir():
            if not (folder / path.name).exists():
                aside = folder / f".{path.name}.{os.getpid()}"
                shutil.copyfile(path, aside)
                aside.replace(folder / path.name)


def on_compilation(call: Callable[[], None]) -> None:
    """From now on, calls whenever something is compiled in this process, or read in place of being compiled."""

    def listen(event: str, duration_secs: float, **kwargs: str | int) -> None:  # noqa: ARG001 - JAX names them
        if event == COMPILED:
            call()

    jax.monitoring.register_event_duration_secs_listener(listen)


def _version() -> str:
    """A name for all that compiled code depends on, beside what JAX itself looks at."""
    processor = hashlib.sha256(_processor().encode()).hexdigest()[:8]
    return f"jax-{jax.__version__}-{jaxlib.version.__version__}-{processor}"


def _processor() -> str:
    """The processor, with the instructions that it knows."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    return "\n".join(sorted({line for line in lines if line.startswith(("model name", "flags", "Features"))}))


def _shrink(folder: Path) -> None:
    """Removes what was read or written least recently, until the rest is below the limit."""
    with suppress(OSError):  # another process shrinks it, too, or it cannot be written to
        files = sorted(
            ((p.stat().st_atime, p.stat().st_size, p) for p in folder.rglob("*") if p.is_file()), reverse=True
        )
        kept = 0
        for _, size, path in files:
            kept += size
            if kept > LIMIT_BYTES:
                path.unlink()
