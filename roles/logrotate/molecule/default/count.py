"""Whether every line of each writer is there once, over all files, and nothing that is not a line."""

import collections
import gzip
import sys
from pathlib import Path

folder = Path(sys.argv[1])
found = collections.Counter()
files = [path for path in folder.iterdir() if path.name.startswith("writers.log")]
for path in files:
    with (gzip.open if path.suffix == ".gz" else open)(path, "rt") as lines:
        found.update(line.rstrip("\n") for line in lines)
wanted = {
    f"{path.stem.removeprefix('writer-')} {number}"
    for path in folder.glob("writer-*.count")
    for number in range(int(path.read_text()))
}
twice = [line for line, times in found.items() if times > 1]
print(f"{len(wanted)} lines in {len(files)} files: {len(wanted - set(found))} missing,", end=" ")
print(f"{len(twice)} twice, {len(set(found) - wanted)} that nobody wrote")
odd = [path.name for path in files if path.name.endswith(".backup")]
print(*odd)
sys.exit(bool(len(wanted) < 1000 or wanted ^ set(found) or twice or odd))
