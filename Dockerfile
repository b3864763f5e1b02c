# Triton (for CPUs) and the proxy under one launcher, for a first try and for platforms that run a single container.
#   docker build . -t mag-tiles
#   docker run -p 127.0.0.1:8000:8000 -e PORT=8000 --shm-size=256m --stop-timeout=45 mag-tiles
# compose.yaml runs the two in containers of their own, from inference_server/Dockerfile and proxy/Dockerfile.
FROM python:3.11-slim-bookworm AS environment
RUN apt-get update && apt-get install -y --no-install-recommends binutils
WORKDIR /app
COPY inference_server/__init__.py inference_server/errors.py inference_server/machine.py inference_server/libpython.py inference_server/prepare.py inference_server/
RUN python -m inference_server.prepare machine && python -m venv --without-pip .venv
COPY requirements/proxy.txt requirements/inference_server.txt requirements/
RUN pip="python -m pip --python .venv/bin/python install --no-cache-dir --require-hashes" \
 && $pip -r requirements/proxy.txt && $pip --no-deps -r requirements/inference_server.txt
RUN .venv/bin/python -m inference_server.prepare libpython
COPY deploy/slim.sh deploy/
RUN deploy/slim.sh .venv

FROM python:3.11-slim-bookworm AS sources
WORKDIR /app
COPY host host
COPY tiles tiles
COPY inference_server inference_server
COPY proxy proxy
COPY launch launch
COPY model_repository model_repository
# not by COPY --chmod: Heroku builds without BuildKit, which that option needs
RUN chmod -R 755 .

FROM python:3.11-slim-bookworm
WORKDIR /app
COPY --from=environment /app/.venv .venv
COPY --from=sources /app .
USER 10001:10001
ENV PATH=/app/.venv/bin:$PATH HOST=0.0.0.0 PORT=8080 PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
EXPOSE 8080
ARG VERSION=0.1.0
ARG REVISION=unknown
ARG SOURCE=""
LABEL org.opencontainers.image.title="Defect segmentation: Triton and the proxy" \
      org.opencontainers.image.licenses=MIT \
      org.opencontainers.image.version=$VERSION \
      org.opencontainers.image.revision=$REVISION \
      org.opencontainers.image.source=$SOURCE
HEALTHCHECK --start-period=130s --interval=10s CMD ["python", "-c", \
  "import os, urllib.request as u; u.build_opener(u.ProxyHandler({})).open('http://127.0.0.1:' + (os.environ.get('PORT') or '8080') + '/health/ready', timeout=5)"]
CMD ["python", "-m", "launch"]
