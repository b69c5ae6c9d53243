"""The host's tree behind nodes and open files: places held by descriptors, transfers, locks, terminals."""
