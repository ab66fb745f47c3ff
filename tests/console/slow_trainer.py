"""A trainer that learns nothing: `python -m tests.console.slow_trainer FOLDER` logs steps until SIGTERM, with a child.

With `--fail` it ends at once with an error, with `--done` at once without.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path


def main(arguments: list[str]) -> int:
    if "--fail" in arguments:
        print("Error: no corpora", flush=True)
        return 3
    folder = Path(arguments[0])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "settings.json").write_text(json.dumps({"tokens": 8000}))
    with (folder / "metrics.jsonl").open("a") as file:
        for step in range(1, 5):
            told = {"step": step, "tokens": 1000 * step, "loss": 5.0 - step / 2, "rate": 100, "lr": 0.1}
            file.write(json.dumps(told) + "\n")
        file.write('{"step": 5, "torn')
    print("logged", flush=True)
    if "--done" not in arguments:
        with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], close_fds=False):
            time.sleep(600)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
