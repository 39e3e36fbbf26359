"""Make `.venv` and `.env` ready, for `make run`, `make test` and the others.

    python bin/set_up.py [requirements-dev.txt]

It runs before anything is installed, so it uses the standard library only. It may run several times
at once, may be interrupted anywhere, and needs no network when nothing has changed.
"""

import fcntl
import hashlib
import os
import secrets
import subprocess
import sys
from pathlib import Path

# Relative, so that no path is too long or too odd for a tool: main() goes to the root of the clone.
VENV = Path(".venv")
PYTHON = VENV / "bin" / "python"
# What is installed: the version of Python, then a checksum for each requirements file.
STAMP = VENV / "installed"
# Stands while pip works. Where it was left, pip may take a half-written package for a whole one.
UNFINISHED = VENV / "unfinished"


def main(requirements: Path) -> None:
    os.chdir(Path(__file__).resolve().parent.parent)
    data = Path(".data")
    data.mkdir(exist_ok=True)
    with (data / "setup.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        make_venv()
        install(requirements)
        write_env_file(Path(".env"))


def make_venv() -> None:
    """Make the virtual environment, anew when the one there does not work."""
    if not UNFINISHED.exists() and succeeds([str(PYTHON), "-m", "pip", "--version"]):
        return
    print("Making .venv ...", flush=True)
    run([sys.executable, "-m", "venv", "--clear", str(VENV)])


def install(requirements: Path) -> None:
    """Install what a requirements file pins, unless exactly that was installed before."""
    wanted = f"{requirements} {checksum(requirements)}"
    version = python_version()
    stamp = STAMP.read_text().splitlines() if STAMP.exists() else []
    if stamp[:1] == [version] and wanted in stamp:
        return
    print(f"Installing {requirements} (it takes a minute) ...", flush=True)
    UNFINISHED.touch()
    STAMP.unlink(missing_ok=True)
    pip = [str(PYTHON), "-m", "pip", "--disable-pip-version-check", "--quiet", "--quiet"]
    run([*pip, "install", "--require-hashes", "-r", str(requirements)])
    # The requirements for development contain those of the server.
    contained = {requirements, Path("requirements.txt")}
    STAMP.write_text("\n".join([version, *(f"{path} {checksum(path)}" for path in contained), ""]))
    UNFINISHED.unlink()


def write_env_file(path: Path) -> None:
    """Write an `.env` for development with keys of its own, unless there is one."""
    if path.exists():
        return
    new = path.with_name(".env.new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write("# Written by the first `make run`. The names are explained in .env.example.\n")
        file.write("DEBUG=true\n")
        for name in ("SECRET_KEY", "JWT_SIGNING_KEY"):
            file.write(f"{name}={secrets.token_urlsafe(48)}\n")
    new.rename(path)
    print("Wrote .env with new random keys.", flush=True)


def python_version() -> str:
    code = "import platform; print(platform.python_version_tuple()[:2])"
    return subprocess.run(
        [str(PYTHON), "-c", code], check=True, capture_output=True, text=True
    ).stdout.strip()


def checksum(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def succeeds(command: list[str]) -> bool:
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def run(command: list[str]) -> None:
    if subprocess.run(command, check=False).returncode:
        sys.exit(f"Setting up failed at: {' '.join(command)}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "requirements.txt"))
