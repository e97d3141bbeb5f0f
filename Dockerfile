# One image for the code server, the webserver and the daemon: see compose.yaml. deploy/try_image.py
# builds it on a base of its own and runs it.
ARG BASE=docker.io/library/python:3.11-slim-bookworm

FROM ${BASE} AS build
WORKDIR /opt/sparkify
COPY requirements/uv.txt requirements/run.txt requirements/production.txt requirements/
RUN python3.11 -m venv /opt/uv \
 && /opt/uv/bin/python -m pip install --quiet --no-cache-dir --require-hashes -r requirements/uv.txt \
 && python3.11 -m venv --without-pip .venv \
 && /opt/uv/bin/uv pip install --quiet --no-cache --compile-bytecode --python .venv/bin/python --require-hashes -r requirements/run.txt -r requirements/production.txt
# Code last: a change of it leaves the layer of the packages as it is.
COPY pyproject.toml README.md LICENSE ./
COPY sql sql
COPY sparkify_dagster sparkify_dagster
RUN /opt/uv/bin/uv pip install --quiet --no-cache --compile-bytecode --python .venv/bin/python --no-deps --no-build-isolation .

FROM ${BASE}
# A number, so that an orchestrator can tell without this image that it is not root.
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /var/lib/sparkify --shell /usr/sbin/nologin sparkify \
 && install -d -o sparkify -g sparkify -m 750 /run/sparkify /opt/sparkify/dagster/storage /var/lib/sparkify
COPY --from=build /opt/sparkify/.venv /opt/sparkify/.venv
COPY deploy/workspace.yaml deploy/code_server.py /opt/sparkify/
# Part of the image and not of a volume: an upgrade brings its own. On ECS, a run is a task:
# --build-arg INSTANCE="dagster.production.yaml dagster.ecs.yaml".
ARG INSTANCE=dagster.production.yaml
COPY deploy/dagster.production.yaml deploy/dagster.ecs.yaml /opt/sparkify/deploy/
RUN cd /opt/sparkify/deploy && cat ${INSTANCE} > /opt/sparkify/dagster/dagster.yaml
ENV PATH=/opt/sparkify/.venv/bin:$PATH \
    DAGSTER_HOME=/opt/sparkify/dagster \
    PYTHONUNBUFFERED=1
# Declared, as ECS else gives a folder that containers share to root.
VOLUME /run/sparkify
USER 10001:10001
# The defaults of SPARKIFY_LAKE and SPARKIFY_DUCKDB_PATH are below it.
WORKDIR /var/lib/sparkify
