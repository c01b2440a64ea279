"""Side-by-side measurements; each module prints a table and says how to repeat it."""
