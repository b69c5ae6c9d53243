"""The verbs of user memory in Python: checks, providers, walking, texts, copies, searches, streams. The pointers
themselves are compiled (`_core.pointers`)."""
