"""``python -m numapool`` is the command ``numapool``."""

from numapool.cli.command import main

if __name__ == "__main__":
    main()
