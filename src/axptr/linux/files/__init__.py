"""What descriptors refer to besides files of a tree, and what is held of open files: pipes, FIFOs, locks."""
