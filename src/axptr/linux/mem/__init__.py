"""What of a program's memory is not in its address space: the heap's end, limits."""
