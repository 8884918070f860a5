"""How fast it is, side by side with what it competes with: ``python -m benchmarks --help``.

This package imports nothing here: its workers also run under interpreters that have no trioschedule.
"""
