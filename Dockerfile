# The image whose archive the workflow's rules name; `make image` builds it. BASE is any Debian with Python 3.11.
ARG BASE=docker.io/library/python:3.11-slim
FROM ${BASE}

# git: the commit is part of every run's record. libgomp: scikit-learn's threads.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends git libgomp1 \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/archives/*.deb

# In a virtual environment, since Debian's own Python takes no packages; nothing of a user's ~/.local gets in, either.
WORKDIR /opt/snn2ann
RUN python3 -m venv environment
ENV PATH=/opt/snn2ann/environment/bin:$PATH
COPY requirements.lock ./
RUN pip install --quiet --no-cache-dir --no-deps --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY src ./src
RUN pip install --quiet --no-cache-dir --no-deps --no-build-isolation .

# The workflow's jobs then leave this environment's commands first.
ENV SNN2ANN_IMAGE=0.1.0
WORKDIR /work
CMD ["snn2ann", "--help"]
