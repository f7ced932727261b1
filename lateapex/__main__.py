"""`python -m lateapex` is the command line."""

from lateapex.cli import main

if __name__ == "__main__":
    main()
