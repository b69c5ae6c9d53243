"""Sockets of the machine's own: families, names, what they carry; and what of the outside may be reached."""
