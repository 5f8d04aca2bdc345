"""Circuits of formats: emitted, checked, synthesised, counted."""
