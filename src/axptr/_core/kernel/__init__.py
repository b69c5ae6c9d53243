"""Tasks that wait and take turns: what of `axptr.kernel` every switch pays for."""
