"""What every other room stands on: errors, the instruction set in use, threads."""
