"""What differs from one architecture to another, a room for each."""
