"""Counters by name: written by the Put operators and StatRegistryUpdate, read by StatRegistryExport.

There is one registry for the process, and others as blobs. Only these operators write to them: the library itself keeps
no counters.
"""
