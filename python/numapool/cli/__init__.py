"""The command ``numapool``: one file per command, loaded when it is called."""
