"""`python -m tokenprov`."""

from tokenprov.cli import main

if __name__ == "__main__":
    main()
