"""Pull the factors of variation in images and videos apart."""

__version__ = "0.1.0.dev0"
