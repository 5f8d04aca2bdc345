"""Formats compared by their exact errors and their bits per weight."""
