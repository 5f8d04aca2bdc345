"""Measure what docs/accuracy_and_cost.md shows, and write a record for each measurement to a file.

Of circuits, those that the file has already are left out, so that a run can be stopped and
continued.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from analysis.hardware.circuits import Job
from analysis.hardware.counts import measured
from analysis.hardware.layers import losses, records
from analysis.hardware.tradeoff import of_job
from analysis.models.evaluation import Progress
from analysis.output import write_files
from analysis.records import Rows, from_csv, to_csv
from minifloat.cli.terminal import progress_bar
from minifloat.hardware.synthesis import SynthesisError

COMMAND = "python -m analysis.hardware"
CIRCUITS, LAYERS, LOSSES = "circuits", "layers", "losses"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return 0, 2 after an error, 130 after Ctrl-C."""
    parser = argparse.ArgumentParser(prog=COMMAND, description=__doc__)
    parser.add_argument(
        "what",
        nargs="?",
        choices=(CIRCUITS, LAYERS, LOSSES),
        default=CIRCUITS,
        help="circuits and what they take (default), errors of real layers, or losses of MiniLM",
    )
    parser.add_argument("--quick", action="store_true", help="two circuits, or two formats")
    parser.add_argument("--csv", type=Path, metavar="FILE", required=True)
    options = parser.parse_args(arguments)
    command = COMMAND + f" {options.what}" * (options.what != CIRCUITS) + " --quick" * options.quick
    file: Path = options.csv
    try:
        write_files(file.parent, {})  # an error now rather than after hours
        with progress_bar(options.what) as progress:
            for rows in _growing(options.what, options.quick, file, progress):
                write_files(file.parent, {file.name: to_csv(rows, command).encode()})
    except (OSError, ValueError, ImportError, SynthesisError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


def _growing(what: str, quick: bool, file: Path, progress: Progress | None) -> Iterator[Rows]:
    """Yield the records of a study whenever there are more of them."""
    if what != CIRCUITS:
        yield (records if what == LAYERS else losses)(quick=quick, progress=progress)
        return
    found: Rows = from_csv(file.read_text("utf-8")) if file.exists() else []
    if found and not set(Job._fields) <= found[0].keys():
        raise ValueError(f"{file} must have the columns {', '.join(Job._fields)}; name a new file")
    known = list(of_job(found))
    for row in measured(quick=quick, known=known, progress=progress):
        found.append(row)
        yield found


if __name__ == "__main__":
    sys.exit(main())
