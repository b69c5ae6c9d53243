"""What everything else speaks with: codes of faults, the lock, marks, budgets, and how buffers and providers are
taken."""
