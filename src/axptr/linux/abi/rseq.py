"""struct rseq, as far as programs are told of it in the auxiliary vector. Source: linux/rseq.h, linux/auxvec.h."""

FEATURE_SIZE, ALIGN = 28, 32
"""How much of the area is used, and how it is to be aligned (AT_RSEQ_FEATURE_SIZE, AT_RSEQ_ALIGN)."""
