"""The process of a run: its state, exec, timers, and how it waits."""
