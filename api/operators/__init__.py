"""Those who operate the installation, from outside of it and across its tenants."""
