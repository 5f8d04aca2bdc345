"""Print tables.js of the explorer."""

from docs.generators.explorer import script, tables

print(script(tables()), end="")
