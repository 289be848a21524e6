"""`make test-browser`: looks at pages and mails with Chromium, which is installed with apt where it is missing."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence

from app.errors import AppError
from dev.debian import install_programs

PROGRAM = "chromium"


def main(arguments: Sequence[str]) -> int:
    """Run the tests, with these arguments for pytest; 0 too where there is no Chromium and no right to install it."""
    if not shutil.which(PROGRAM) and os.geteuid() != 0:
        print(f"NOT RUN: the browser's tests need Chromium, which only root can install: sudo apt install {PROGRAM}")
        return 0
    try:
        # Without a font it draws no letters.
        install_programs({PROGRAM: [PROGRAM, "fonts-dejavu-core"]})
    except AppError as error:
        print(error, file=sys.stderr)
        return 1
    return subprocess.run([sys.executable, "-m", "pytest", "tests/browser", *arguments], check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
