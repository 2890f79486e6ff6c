"""Many kinds of functions with their exact gradients, and how often the checker is wrong on them.

python -m tests.benchmarks.zoo [--seeds 40] [--group G] [--family F] [--jobs 2]
"""
