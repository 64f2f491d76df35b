"""``python -m nestvec`` is the command line."""

from nestvec.apps.cli import main

if __name__ == "__main__":
    main()
