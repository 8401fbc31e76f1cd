"""`python -m stackproof` is `stackproof`."""

from stackproof.cli.main import main

main()
