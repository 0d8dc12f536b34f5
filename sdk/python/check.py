"""Checks this package as its users get it: python check.py [PYTHON...].

For each interpreter, the one that runs this unless others are given: makes a virtual
environment in .venv/, installs the package with its extra "dev", and runs ruff, mypy and
all tests. Then builds the wheel and the sdist, installs each into a clean environment and
sees a worker start there. Needs the package index; the environments are kept and used
again.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
WORKER = """
import procpool

@procpool.task()
def square(n: int) -> int:
    return n * n

procpool.serve()
"""


def run(*command: str | Path, cwd: Path = HERE) -> str:
    """Run a command and return what it prints; ends this program if it fails."""
    print("$", *command, flush=True)
    done = subprocess.run(command, cwd=cwd, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"{done.stdout}\n{command[0]} has failed with status {done.returncode}")
    return done.stdout


def environment(interpreter: str) -> Path:
    """Return the python of an environment in which the package is installed for its tests."""
    version = run(interpreter, "-c", "import sys; print('%d.%d' % sys.version_info[:2])").strip()
    home = HERE / ".venv" / version
    python = home / "bin" / "python"
    if not python.exists():
        run(interpreter, "-m", "venv", home)
    run(python, "-m", "pip", "install", "-q", "-e", ".[dev]")
    return python


def check_sources(python: Path) -> None:
    """Lint, check types, test."""
    print(run(python, "-m", "ruff", "check"), end="")
    print(run(python, "-m", "ruff", "format", "--check"), end="")
    print(run(python, "-m", "mypy"), end="")
    print(run(python, "-m", "pytest", "-q"), end="", flush=True)


def check_packages(python: Path) -> None:
    """Build, install what was built, and start a worker."""
    with tempfile.TemporaryDirectory() as scratch:
        run(python, "-m", "build", "-q", "--outdir", f"{scratch}/dist")
        packages = sorted(Path(scratch, "dist").iterdir())
        if [package.suffix for package in packages] != [".whl", ".gz"]:
            sys.exit(f"python -m build has made {packages}, not a wheel and an sdist")
        for number, package in enumerate([*packages, HERE]):
            clean = Path(scratch, f"clean{number}")
            run(python, "-m", "venv", clean)
            run(clean / "bin" / "python", "-m", "pip", "install", "-q", package)
            check_worker(clean / "bin" / "python", Path(scratch))
            print(f"{package.name}: installs, and its worker starts")


def check_worker(python: Path, scratch: Path) -> None:
    """See that a worker comes up to its handshake, and that it refuses to run by hand."""
    worker = scratch / "worker.py"
    worker.write_text(WORKER)
    by_hand = subprocess.run([python, worker], stderr=subprocess.PIPE, text=True)
    if by_hand.returncode != 1 or "procpool worker" not in by_hand.stderr:
        sys.exit(f"a worker that is run by hand says {by_hand.stderr!r}")
    with tempfile.TemporaryDirectory() as sockets:
        started = subprocess.run(
            [python, worker],
            stdin=subprocess.DEVNULL,  # its end has the worker leave
            stdout=subprocess.PIPE,
            text=True,
            env={
                **os.environ,
                "PROCPOOL_PLUGIN_COOKIE": "procpool-worker",
                "PLUGIN_UNIX_SOCKET_DIR": sockets,
                "PLUGIN_PROTOCOL_VERSIONS": "1",
            },
        )
    if started.returncode or f"1|1|unix|{sockets}/" not in started.stdout:
        sys.exit(f"a worker that is started says {started.stdout!r}")


def main() -> None:
    """Check."""
    for interpreter in sys.argv[1:] or [sys.executable]:
        python = environment(interpreter)
        check_sources(python)
        check_packages(python)


if __name__ == "__main__":
    main()
