"""Signals: what a program asked for, what is pending, and what comes from the host."""
