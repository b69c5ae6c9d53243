"""What a CPU over an address space needs in compiled code: the clock of a run here, a room for each engine and each
machine."""
