"""What is known of x86-64 whatever runs it: which instruction stands where, the registers, comparisons of strings."""
