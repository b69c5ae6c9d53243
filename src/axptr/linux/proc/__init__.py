"""The personality's own /proc: its kinds of nodes, the tree, the texts."""
