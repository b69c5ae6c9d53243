"""Unicorn as the CPU: its library, fills of its TLB, devices, steps, and what it gets wrong put right."""
