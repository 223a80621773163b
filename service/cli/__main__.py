"""`python -m service.cli`, which the supervisor starts."""

from service.cli.app import main

main()
