"""What sites tell each other beside weights: sums over patients, with small counts withheld."""
