"""Tensors in, tensors out: heads, class embeddings, methods, calibration, metrics.

A tensor's name carries its shape:
S seen classes, U unseen classes, C = S + U (or a head's own count), D feature size,
A class-embedding size, K row size (D, or D + 1 with a bias), N samples, B batch, R regions,
Z hidden code, F feature numbers in any basis, G groups of hidden classes, T scales, M some of N.
"""
