"""The handlers of system calls, a file for each family; each enters its calls in the registry. Nothing is kept here."""
