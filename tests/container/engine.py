"""Docker, podman, or a script that takes the verbs build, play, down and podman: whatever CONTAINER names."""

import os
import subprocess

ENGINE = os.environ.get("CONTAINER", "docker")
NAME = os.path.basename(ENGINE)  # noqa: PTH119 - it may be a command and no path
IS_SCRIPT = NAME not in ("docker", "podman")


def run(*arguments: str, check: bool = True, said: bool = False) -> str:
    """What a command of the engine prints; with `said`, on stderr, too. Raises AssertionError when it fails."""
    command = [ENGINE, *(["podman"] if IS_SCRIPT else []), *arguments]
    return _run(command, check=check, said=said)


def build(tag: str, folder: str) -> None:
    """Builds an image."""
    _run([ENGINE, "build", tag, folder] if IS_SCRIPT else [ENGINE, "build", "--tag", tag, folder], check=True)


def play(path: str) -> None:
    """Starts the pods of a file."""
    _run([ENGINE, "play", path] if IS_SCRIPT else [ENGINE, "kube", "play", path], check=True)


def down(path: str, check: bool = True) -> None:
    """Stops and removes the pods of a file."""
    _run([ENGINE, "down", path] if IS_SCRIPT else [ENGINE, "kube", "down", path], check=check)


def _run(command: list[str], *, check: bool, said: bool = False) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert not check or done.returncode == 0, f"{' '.join(command)}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout + (done.stderr if said else "")
