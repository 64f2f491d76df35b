"""One method of compression a file; none knows another."""
