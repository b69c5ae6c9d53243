# Nothing for Python: what the verbs of pointers are made of.
