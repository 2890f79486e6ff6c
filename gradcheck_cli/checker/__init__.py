"""One problem: checked, certified where it is large, diagnosed where it is wrong."""
