"""The executor: schemas, the registry of operators, plans and nets. It sees steps, never kernels."""
