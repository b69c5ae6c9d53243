"""Memory management: areas, what backs them, the address space."""
