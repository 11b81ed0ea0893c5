"""`python -m perstack`, the same as `perstack`."""

from perstack.cli import main

if __name__ == "__main__":
    main()
