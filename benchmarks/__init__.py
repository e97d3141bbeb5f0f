"""What the platform costs, next to what it could be replaced by. `make bench` runs it."""
