"""Tables of text fold on narrow screens: each row becomes a list of its cells.

The style sheet folds tables of the class ``folds``, and writes the head of a cell's column, its
``data-head``, above it. Tables of numbers stay tables, which scroll in their box.
"""

from __future__ import annotations

from typing import Any

from docutils import nodes

LONG = 40  # characters: a table with such a cell is one of text


def is_of_text(table: nodes.table) -> bool:
    """Return whether any cell is so long that columns become narrow."""
    return any(len(cell.astext()) > LONG for cell in table.findall(nodes.entry))


def visit_entry(self: Any, node: nodes.entry) -> None:
    """Write a cell as Sphinx does, with the head of its column."""
    row = node.parent
    table = row.parent.parent.parent
    heads = [entry for head in table.findall(nodes.thead) for entry in head.findall(nodes.entry)]
    place = row.index(node)
    before = len(self.body)
    self.__class__.visit_entry(self, node)
    if "folds" in table.get("classes", ()) and place < len(heads):
        is_empty = isinstance(row.parent, nodes.thead) or not node.astext().strip()
        text = "" if is_empty else self.attval(heads[place].astext())
        for index in range(before, len(self.body)):
            if self.body[index].startswith("<td"):
                self.body[index] = self.body[index].replace("<td", f'<td data-head="{text}"', 1)


def mark(app: Any, doctree: nodes.document) -> None:
    """Give the tables of text their class."""
    for table in doctree.findall(nodes.table):
        if is_of_text(table):
            table["classes"].append("folds")


def setup(app: Any) -> dict[str, bool]:
    """Connect the functions above."""
    app.connect("doctree-read", mark)
    app.add_node(
        nodes.entry,
        override=True,
        html=(visit_entry, lambda self, node: self.__class__.depart_entry(self, node)),
    )
    return {"parallel_read_safe": True}
