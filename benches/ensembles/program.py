"""Runs the program with `--json`, and keeps each answer in a file: what has been answered is not asked again."""

import json
import pathlib
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = ROOT / "target/release/boltzflow"


def ask(record, *words):
    """The program's answer, with the `seconds` that it took, from the file `record` if it is there."""
    record = pathlib.Path(record)
    if record.exists():
        return json.loads(record.read_text())
    command = [str(PROGRAM), *map(str, words), "--json"]
    print("$ boltzflow", " ".join(map(str, words)), flush=True)
    started = time.monotonic()
    found = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    if found.returncode != 0:
        raise RuntimeError(found.stderr.strip().splitlines()[-1])
    answer = json.loads(found.stdout)
    answer["seconds"] = time.monotonic() - started
    partial = record.with_suffix(".part")
    partial.write_text(json.dumps(answer))
    partial.rename(record)
    return answer


def told(found, digits, times=1):
    """A value with its standard error, in units of 1/`times`; a dash where the program could not tell one."""
    value, error = ("–" if part is None else f"{times * part:.{digits}f}" for part in (found["value"], found["error"]))
    return f"{value} ± {error}"
