"""`minifloat explore`: the explorer, a page that works from a file, in the browser."""

from __future__ import annotations

import argparse

from minifloat.cli.terminal import print_text
from minifloat.explorer import PAGE

EXAMPLES = """\
examples:
  minifloat explore
  minifloat explore --print-path
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `explore` to its parser."""
    parser.epilog = EXAMPLES
    parser.add_argument(
        "--print-path", action="store_true", help="print where the page is, and open nothing"
    )


def run(options: argparse.Namespace) -> None:
    """Open the page in the browser; print its path if there is none."""
    if not options.print_path:
        import webbrowser

        if webbrowser.open(PAGE.as_uri()):
            print_text(f"Opened {PAGE.as_uri()}")
            return
        print_text("There is no browser here; open this file in one:")
    print(PAGE)  # in one line, to be copied
