"""The tree that a program sees: nodes, the walk from a name to one, opening, open files, /dev, what may be changed."""
