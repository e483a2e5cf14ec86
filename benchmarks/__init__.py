"""Measure speed, memory and accuracy; not part of the wheel."""
