"""`python -m scaleout_cfn`."""

from scaleout_cfn.cli import main

if __name__ == "__main__":
    main()
