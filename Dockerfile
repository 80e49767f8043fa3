# The image whose archive the workflow's rules name; `make image` builds it with Docker or Podman.
FROM python:3.11-slim

# git: the commit is part of every run's record. libgomp: scikit-learn's threads.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends git libgomp1 \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /opt/snn2ann
COPY requirements.lock ./
RUN pip install --no-cache-dir --no-deps --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY src ./src
RUN pip install --no-cache-dir --no-deps --no-build-isolation .

# The workflow's jobs then leave this environment's commands first.
ENV SNN2ANN_IMAGE=0.1.0
WORKDIR /work
CMD ["snn2ann", "--help"]
