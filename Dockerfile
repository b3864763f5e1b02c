# Triton and the proxy in one image, for machines that the Triton wheel does not serve directly, and for a first look.
#   docker build . -t mag-tiles && docker run -p 8080:8080 mag-tiles
FROM python:3.11-slim-bookworm AS environment
WORKDIR /app
COPY requirements/serving.txt requirements/serving.txt
COPY inference_server inference_server
RUN python -m venv .venv-serving \
 && .venv-serving/bin/pip install --no-cache-dir --require-hashes -r requirements/serving.txt
RUN apt-get update && .venv-serving/bin/python -m inference_server.libpython

FROM python:3.11-slim-bookworm
RUN useradd --uid 10001 --no-create-home --home-dir /app tiles
WORKDIR /app
COPY --from=environment /app/.venv-serving .venv-serving
COPY tiles tiles
COPY inference_server inference_server
COPY proxy proxy
COPY launch launch
COPY model_repository model_repository
USER tiles
ENV HOST=0.0.0.0 PORT=8080 PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
EXPOSE 8080
HEALTHCHECK --start-period=60s --interval=10s CMD [".venv-serving/bin/python", "-c", \
  "import os, urllib.request as u; u.urlopen('http://127.0.0.1:' + os.environ['PORT'] + '/health/ready', timeout=5)"]
CMD [".venv-serving/bin/python", "-m", "launch"]
