"""`python -m deploy.embedded`: up, down, status."""

from deploy.embedded.commands import app

app()
