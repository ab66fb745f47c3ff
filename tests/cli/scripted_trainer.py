"""Stands in for `python -m trainer retrain`: takes its options, leaves what it leaves, says what it says. A script.

SCRIPTED_SOURCE is the bundle that it "makes", SCRIPTED_PASSED the gate's word, SCRIPTED_UNTIL the newest label's time,
SCRIPTED_ERROR what it fails with, SCRIPTED_SAY a file to note in how it was started.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import sys
from pathlib import Path


def holds(name: str) -> bool:
    """Whether a file of this name came with an open descriptor."""
    return any(path.readlink().name == name for path in Path("/proc/self/fd").iterdir() if path.is_symlink())


def main() -> None:
    """Copy the bundle, judge it as told, print progress and the result."""
    options = dict(zip(sys.argv[1::2], sys.argv[2::2], strict=False))
    folder, environ = Path(options["--out"]), os.environ
    if said := environ.get("SCRIPTED_SAY"):
        limits = {"data": resource.getrlimit(resource.RLIMIT_DATA)[0], "nice": os.nice(0)}
        store = environ["SPAMFILTER_RETRAIN_STORE"]
        limits["lock"] = holds("retrain.lock")
        about = {"argv": sys.argv[1:], "threads": environ["OMP_NUM_THREADS"], "store": store, **limits}
        Path(said).write_text(json.dumps(about))
    folder.mkdir(parents=True)
    print(json.dumps({"step": "labels", "done": 1, "of": 2, "eta_s": 0.1}), flush=True)
    (folder / "snapshot.jsonl").write_text("{}\n")
    print("a library's chatter", flush=True)
    if error := environ.get("SCRIPTED_ERROR"):
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(1)
    source = Path(environ["SCRIPTED_SOURCE"])
    shutil.copytree(source, folder / "candidate")
    passed = environ.get("SCRIPTED_PASSED", "1") == "1"
    sentence = "Passed: as told." if passed else "Refused: as told."
    if environ.get("SCRIPTED_UNJUDGED") != "1":
        (folder / "candidate" / "gate.json").write_text(json.dumps({"passed": passed, "sentence": sentence}))
    model = json.loads((source / "manifest.json").read_text())["model_id"]
    until = environ.get("SCRIPTED_UNTIL")
    result = {"result": "passed" if passed else "refused", "model": model, "from": "old-1", "labels": 60}
    print(json.dumps({**result, "held_out": 12, "until": until}), flush=True)


if __name__ == "__main__":
    main()
