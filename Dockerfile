# docker build -t gradcheck . && docker run --rm -v "$PWD:/work" gradcheck run configs
FROM python:3.13-slim AS build
COPY . /source
RUN pip wheel --no-cache-dir --wheel-dir /wheels /source

FROM python:3.13-slim
RUN --mount=type=bind,from=build,source=/wheels,target=/wheels \
    pip install --no-cache-dir --no-index --find-links /wheels gradcheck-cli \
    && useradd --create-home gradcheck
USER gradcheck
WORKDIR /work
ENTRYPOINT ["gradcheck"]
