"""Recollect: the self-hosted home for an AI app's users, their sessions and all derived from them.

Importing the package loads no database driver and no server; each is loaded by what first uses it.
"""

__version__ = "0.1.0"
