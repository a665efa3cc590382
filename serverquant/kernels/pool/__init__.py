"""Max and average pools in one to three dimensions, float and uint8: see pool.h."""
