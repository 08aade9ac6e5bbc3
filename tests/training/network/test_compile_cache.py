"""The persistent compilation cache, in processes of their own: JAX takes its folder once per process."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from training.network import compile_cache

COUNTING = """
import sys, jax
from pathlib import Path
from training.network.compile_cache import keep_compiled, on_compilation
hits = []
jax.monitoring.register_event_listener(lambda event, **_: hits.append(event) if event.endswith("cache_hits") else None)
compiled = []
folder = Path(sys.argv[1])
keep_compiled(folder, Path(sys.argv[2]) if sys.argv[2:] else None)
"""
COMPILING = """
on_compilation(lambda: compiled.append(1))
jax.jit(lambda x: x * 3)(jax.numpy.ones(3))
print(len(hits), len(compiled))
"""
"""A process that compiles one function: enough where it does not matter what is compiled."""
LOADING = """
from training.predictor import Predictor
from training.store import Store
store = Store(folder)
Predictor.load(store, "tiny")
on_compilation(lambda: compiled.append(1))
Predictor.load(store, "tiny").check_golden()
jax.jit(lambda x: x * 3)(2.0)
print(len(hits), len(compiled))
"""


@pytest.fixture
def store(tmp_path):
    """A folder for a store, in which nothing has been compiled."""
    (tmp_path / "store").mkdir()
    return tmp_path / "store"


def without_compiled(path, copy):
    return Path(shutil.copytree(path, copy, ignore=shutil.ignore_patterns(compile_cache.FOLDER)))


def load(store, *ready_made, program=COMPILING, warnings="error", **environment):
    """How often something was read in place of being compiled, and how often there was something to compile."""
    inherited = {name: value for name, value in os.environ.items() if name != "JAX_COMPILATION_CACHE_DIR"}
    command = [sys.executable, "-W", warnings, "-c", COUNTING + program, str(store), *map(str, ready_made)]
    done = subprocess.run(command, capture_output=True, text=True, env=inherited | environment, check=True)
    return tuple(map(int, done.stdout.split()))


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """A folder for which a process has compiled. Tests only read it."""
    store = tmp_path_factory.mktemp("first")
    hits, compiled = load(store)
    assert hits == 0
    assert compiled > 0
    return store


@pytest.fixture
def ready_made(first, tmp_path):
    """A copy of what was compiled for a store, somewhere else."""
    return Path(shutil.copytree(first / compile_cache.FOLDER, tmp_path / "baked"))


def test_a_second_process_compiles_nothing_that_the_first_one_did(first):
    hits, _ = load(first)
    assert hits > 0


@pytest.mark.slow
def test_a_second_process_compiles_nothing_of_a_network_that_the_first_one_did(trained_store, tmp_path):
    store = without_compiled(trained_store.path, tmp_path / "store")
    hits, compiled = load(store, program=LOADING)
    assert compiled > 0, "it counts"
    again, _ = load(store, program=LOADING)
    assert again > hits
    (folder,) = (store / compile_cache.FOLDER).iterdir()
    assert folder.name.startswith("jax-")


def test_a_damaged_entry_is_compiled_anew(store, ready_made):
    for path in ready_made.glob("*/*-cache"):
        path.write_bytes(b"damaged")
    ready_made.rename(store / compile_cache.FOLDER)
    hits, compiled = load(store, warnings="default")
    assert hits == 0
    assert compiled > 0


def test_where_the_user_says_so_jax_keeps_it_there(store, tmp_path):
    load(store, JAX_COMPILATION_CACHE_DIR=str(tmp_path / "mine"))
    assert not (store / compile_cache.FOLDER).exists()


def test_a_store_that_cannot_be_written_to_is_no_error(store):
    (store / compile_cache.FOLDER).write_text("a file where the folder should be")
    load(store)


def test_a_store_that_has_nothing_compiled_yet_is_filled_with_what_is_ready_made(store, ready_made):
    hits, _ = load(store, ready_made)
    (baked,), (filled,) = ready_made.iterdir(), (store / compile_cache.FOLDER).iterdir()
    names = {path.name for path in baked.glob("*-cache")}
    assert hits >= len(names) > 0
    assert names <= {path.name for path in filled.iterdir()}
    assert not list(filled.glob(".*")), "nothing is left aside"


def test_what_is_ready_made_stands_in_for_a_store_that_cannot_be_written_to(store, ready_made):
    (store / compile_cache.FOLDER).write_text("a file where the folder should be")
    hits, _ = load(store, ready_made)
    (baked,) = ready_made.iterdir()
    assert hits >= len(list(baked.glob("*-cache"))) > 0


def test_what_is_ready_made_for_another_processor_is_not_touched(store, ready_made):
    (baked,) = ready_made.iterdir()
    baked.rename(ready_made / "jax-of-another-processor")
    hits, _ = load(store, ready_made)
    fresh = store / compile_cache.FOLDER
    assert hits < len(list((ready_made / "jax-of-another-processor").glob("*-cache")))
    assert [path.name for path in fresh.iterdir()] == [baked.name]


def test_what_was_used_least_recently_goes_first(tmp_path, monkeypatch):
    monkeypatch.setattr(compile_cache, "LIMIT_BYTES", 2500)
    folder = tmp_path / "jax-1"
    folder.mkdir()
    for age, name in enumerate("abcd"):
        (folder / name).write_bytes(bytes(1000))
        os.utime(folder / name, (time.time() - 100 * age,) * 2)
    compile_cache._shrink(tmp_path)
    assert sorted(path.name for path in folder.iterdir()) == ["a", "b"]
