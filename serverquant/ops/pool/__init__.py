"""Max and average pools: float, int8 of the server set and of the mobile set."""
