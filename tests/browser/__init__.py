"""The pages in a real browser: what people do, with and without scripts, and how it looks."""
