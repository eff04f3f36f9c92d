"""`python -m senformer` is the same as the command `senformer`."""

from senformer.cli import app

if __name__ == "__main__":
    app()
