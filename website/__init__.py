"""How the site of the documentation is made: `make docs`, with mkdocs.yml."""
