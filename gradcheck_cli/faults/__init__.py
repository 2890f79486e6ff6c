"""The catalogue of backprop faults: put into right gradients, and found in wrong ones.

A fault of `catalogue` makes wrong gradients from a `MeasuredGradient`, by functions in `kinds`.
`matching` compares each with the analytic gradient, and `evidence` says whether it is chance.
`diagnosis` does so for one gradient, with stages inside the forward from `hidden_stages`, and words
the match; `shared_explanations` compares gradients, and `mutation` sees what a check would catch.
"""
