"""System V IPC and POSIX message queues of a machine: what it has under numbers and keys, and no file names."""
