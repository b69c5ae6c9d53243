"""Loading a program: finding it, its ELF headers, mapping its segments, its first stack."""
