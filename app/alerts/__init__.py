"""Alert rules: what people want to be told of prices, portfolios and breaks, and what was told."""
