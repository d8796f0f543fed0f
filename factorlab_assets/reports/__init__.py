"""What is looked at: pictures and tables, pure functions from arrays to text."""
