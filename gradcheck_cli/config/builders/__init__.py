"""A checked record → what the suite runs: sizes solved, formulas parsed, arrays read."""
