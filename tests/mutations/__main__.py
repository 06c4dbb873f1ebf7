"""Apply each mutation to a copy of the tree, run its test there, and say which went red. Exit 0 when all did."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from .table import MUTATIONS, Mutation

ROOT = Path(__file__).resolve().parents[2]
NOT_COPIED = shutil.ignore_patterns(".git", ".venv", ".local", "*_cache", "__pycache__")
FAILED = 1  # pytest's word for "tests ran, and some failed": an error in collecting catches nothing


def goes_red(mutation: Mutation, copy: Path) -> bool:
    """Run the mutation's test with the mutation in place, and take it back."""
    path = copy / mutation.file
    text = path.read_text()
    path.write_text(text.replace(mutation.old, mutation.new))
    try:
        command = [sys.executable, "-B", "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", mutation.test]
        return subprocess.run(command, cwd=copy, stdout=subprocess.DEVNULL, check=False).returncode == FAILED
    finally:
        path.write_text(text)


def say(line: str) -> None:
    print(line, flush=True)  # noqa: T201


def main(words: list[str]) -> int:
    chosen = [each for each in MUTATIONS if all(word in each.name for word in words)]
    survived = []
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "tree"
        shutil.copytree(ROOT, copy, ignore=NOT_COPIED)
        for mutation in chosen:
            red = goes_red(mutation, copy)
            survived += [] if red else [mutation.name]
            say(f"{'red  ' if red else 'GREEN'}  {mutation.name:46}  {mutation.test.split('::test_')[1]}")
    say(f"{len(chosen)} mutations, {len(survived)} not noticed")
    return 1 if survived else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
