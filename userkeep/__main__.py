"""`python -m userkeep`: the command line, where the script is not on the path."""

from userkeep.cli import main

if __name__ == "__main__":
    main()
