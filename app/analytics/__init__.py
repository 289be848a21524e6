"""What portfolios were worth, what they returned and at which risk: numpy in, numpy out."""
