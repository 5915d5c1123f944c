"""``python -m numapool`` is the command ``numapool``."""

from numapool.cli import main

if __name__ == "__main__":
    main()
