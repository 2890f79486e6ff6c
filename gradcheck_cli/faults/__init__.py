"""The catalogue of backprop faults: put into right gradients, and found in wrong ones."""
