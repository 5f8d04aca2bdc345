"""Studies of arithmetic in small formats."""
