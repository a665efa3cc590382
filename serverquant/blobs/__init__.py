"""Blobs: named values of a workspace, their memory and their stores."""
