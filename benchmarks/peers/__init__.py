"""Adapters of what it competes with. They run under interpreters of their own and never import trioschedule."""
