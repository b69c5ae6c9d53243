"""The host's mapping and the frames in it: who holds them, and what a guest CPU may still cache of them."""
