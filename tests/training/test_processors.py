"""The container's CPU limit, from files as both versions of cgroups have them, and what XLA makes of it."""

import os
import subprocess
import sys

import pytest

from training import processors
from training.processors import NPROC, keep_to_limit, limit_of_container, one_thread

V2_ROOT, V2_DEEP = "0::/\n", "0::/kubepods.slice/pod1.slice/box\n"
V1 = "4:memory:/box\n3:cpuset:/box\n2:cpu,cpuacct:/docker/box\n1:name=systemd:/box\n"


def machine(folder, cgroup, **files):
    """A root folder with /proc/self/cgroup, and files below /sys/fs/cgroup; -- stands for /."""
    (folder / "proc/self").mkdir(parents=True)
    (folder / "proc/self/cgroup").write_text(cgroup)
    for name, content in files.items():
        path = folder / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return folder


def v1(place, quota, period=100_000):
    folder = f"cpu,cpuacct{place}"
    return {f"{folder}/cpu.cfs_quota_us": f"{quota}\n", f"{folder}/cpu.cfs_period_us": f"{period}\n"}


@pytest.mark.parametrize(
    ("cgroup", "files", "limit"),
    [
        (V2_ROOT, {"cpu.max": "150000 100000\n"}, 1.5),
        (V2_ROOT, {"cpu.max": "max 100000\n"}, None),
        (V2_ROOT, {}, None),
        (V2_DEEP, {"kubepods.slice/pod1.slice/cpu.max": "50000 100000\n"}, 0.5),
        (
            V2_DEEP,
            {"kubepods.slice/cpu.max": "400000 100000\n", "kubepods.slice/pod1.slice/box/cpu.max": "max 100000"},
            4,
        ),
        (
            V2_DEEP,
            {"kubepods.slice/cpu.max": "100000 50000\n", "kubepods.slice/pod1.slice/cpu.max": "800000 100000"},
            2,
        ),
        (V1, v1("", 200_000), 2),  # as a container sees itself
        (V1, v1("/docker/box", 25_000), 0.25),
        (V1, v1("", -1), None),
        (V1 + V2_ROOT, v1("/docker", 300_000) | {"cpu.max": "max 100000\n"}, 3),
        (V2_ROOT, {"cpu.max": "what\n"}, None),
    ],
)
def test_the_lowest_limit_around_a_process_is_its_limit(tmp_path, cgroup, files, limit):
    assert limit_of_container(machine(tmp_path, cgroup, **files)) == limit


def test_a_system_without_cgroups_has_no_limit(tmp_path):
    assert limit_of_container(tmp_path) is None


@pytest.mark.parametrize(
    ("quota", "among", "threads"),
    [(100_000, 1, "1"), (150_000, 1, "2"), (10_000, 1, "1"), (400_000, 2, "2"), (100_000, 4, "1"), (800_000, 1, None)],
)
def test_a_limit_is_rounded_up_and_shared_out_and_says_nothing_above_what_there_is(
    tmp_path, monkeypatch, quota, among, threads
):
    monkeypatch.setattr(processors, "usable", lambda: 8)
    monkeypatch.delenv(NPROC, raising=False)
    keep_to_limit(among, machine(tmp_path, V2_ROOT, **{"cpu.max": f"{quota} 100000\n"}))
    assert os.environ.get(NPROC) == threads
    os.environ.pop(NPROC, None)


def test_what_the_user_says_stays(tmp_path, monkeypatch):
    monkeypatch.setattr(processors, "usable", lambda: 8)
    monkeypatch.setenv(NPROC, "5")
    keep_to_limit(1, machine(tmp_path, V2_ROOT, **{"cpu.max": "100000 100000\n"}))
    assert os.environ[NPROC] == "5"


@pytest.mark.parametrize(("said", "processors_to_use"), [(None, 8), ("3", 3)])
def test_one_thread_for_xla_leaves_what_it_would_have_used_to_others(monkeypatch, said, processors_to_use):
    monkeypatch.setattr(processors, "usable", lambda: 8)
    monkeypatch.setenv(NPROC, said or "")
    if said is None:
        monkeypatch.delenv(NPROC)
    with one_thread() as found:
        assert os.environ[NPROC] == "1"
    assert found == processors_to_use
    assert os.environ.get(NPROC) == said


THREADS = """
import sys
from pathlib import Path
from training import processors
processors.usable = lambda: 64
processors.keep_to_limit(1, Path(sys.argv[1]))
from training.network.compiled import compute_alone
at_once = compute_alone().at_once if sys.argv[2:] else None
import jax
jax.numpy.ones(3).block_until_ready()
print(at_once, sum(p.read_text() == "tf_XLAEigen\\n" for p in Path("/proc/self/task").glob("*/comm")))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="it counts threads in /proc")
@pytest.mark.parametrize("limit", [pytest.param(1, marks=pytest.mark.slow), 3])
def test_xla_starts_as_many_threads_as_the_limit_has_processors(tmp_path, limit):
    """XLA's variable is documented nowhere: this is how we learn that it has changed."""
    root = machine(tmp_path, V2_ROOT, **{"cpu.max": f"{limit}00000 100000\n"})
    environment = {name: value for name, value in os.environ.items() if name not in (NPROC, "XLA_FLAGS")}
    command = [sys.executable, "-c", THREADS, str(root)]

    def found(*arguments):
        done = subprocess.run([*command, *arguments], capture_output=True, text=True, env=environment, check=True)
        return done.stdout.strip()

    assert found() == f"None {limit}"
    assert found("alone") == f"{limit} 1"


DEVICE = """
import sys
from training.network.compiled import NoDevice, compute_alone
try:
    print(*compute_alone(sys.argv[1]))
except NoDevice as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("device", "said"),
    [
        ("cpu", "(1, 4, 8, 16, 32, 64)"),
        pytest.param("auto", "(1, 4, 8, 16, 32, 64)", marks=pytest.mark.slow),
        ("gpu", "device 'gpu' is none that JAX finds here, want auto or cpu"),
        pytest.param("tpu", "device 'tpu': Unable to initialize backend 'tpu'", marks=pytest.mark.slow),
    ],
)
def test_networks_are_computed_on_the_device_that_is_asked_for(device, said):
    """Here are only processors."""
    ran = subprocess.run([sys.executable, "-c", DEVICE, device], capture_output=True, text=True, check=True)
    assert ran.stdout.startswith(said)
