"""Count the circuits of docs/accuracy_and_cost.md, and write a record for each to a CSV file.

Circuits that the file has already are left out, so that a run can be stopped and continued.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from analysis.hardware.circuits import Job
from analysis.hardware.counts import measured
from analysis.output import write_files
from analysis.records import Rows, from_csv, to_csv
from minifloat.cli.terminal import progress_bar
from minifloat.hardware.synthesis import SynthesisError

COMMAND = "python -m analysis.hardware"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return 0, 2 after an error, 130 after Ctrl-C."""
    parser = argparse.ArgumentParser(prog=COMMAND, description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two circuits")
    parser.add_argument("--csv", type=Path, metavar="FILE", required=True)
    options = parser.parse_args(arguments)
    try:
        write_files(options.csv.parent, {})  # an error now rather than after hours
        found: Rows = from_csv(options.csv.read_text("utf-8")) if options.csv.exists() else []
        known = [Job(*(row[name] for name in Job._fields)) for row in found]
        with progress_bar("circuits") as progress:
            for row in measured(quick=options.quick, known=known, progress=progress):
                found.append(row)
                text = to_csv(found, COMMAND + " --quick" * options.quick)
                write_files(options.csv.parent, {options.csv.name: text.encode()})
    except (OSError, ValueError, ModuleNotFoundError, SynthesisError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
