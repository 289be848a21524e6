"""Whether each numbered task was received once by a worker and done once by its child, by all files of the log."""

import collections
import gzip
import re
import sys
from pathlib import Path

log, number = Path(sys.argv[1]), int(sys.argv[2])
found = collections.Counter()
files = list(log.parent.glob(f"{log.name}*"))
for path in files:
    with (gzip.open if path.suffix == ".gz" else open)(path, "rt") as lines:
        for line in lines:
            found.update(re.findall(r"canary\[line-(\d+)\] (received|succeeded)", line))
wanted = {(str(each), what) for each in range(number) for what in ("received", "succeeded")}
twice = [line for line, times in found.items() if times > 1]
print(f"{len(wanted)} lines in {len(files)} files: {len(wanted - set(found))} missing, {len(twice)} twice")
sys.exit(bool(wanted ^ set(found) or twice))
