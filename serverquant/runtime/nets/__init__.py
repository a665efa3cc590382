"""Types of nets."""
