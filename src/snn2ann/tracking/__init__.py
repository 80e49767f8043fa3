"""MLflow as a view of a study's files, which can be made again from them. The only package that imports MLflow."""
