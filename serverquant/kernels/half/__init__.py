"""Half precision to and from single."""
