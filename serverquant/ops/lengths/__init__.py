"""Operators on lengths and segment ids: what they say, in other words, and the rows that they describe.

Python steps: numpy over whole arrays. Outputs whose size is the sum of the lengths end a segment of the plan.
"""
