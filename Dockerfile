# Two stages: the first installs, the second runs; no build tool and no root in what is deployed.
FROM python:3.11-slim-bookworm AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /build
RUN python -m venv /opt/gate
COPY requirements.lock ./
RUN /opt/gate/bin/pip install --require-hashes -r requirements.lock
COPY pyproject.toml README.md ./
COPY gate ./gate
COPY static ./static
RUN pip install --no-cache-dir hatchling==1.28.0 \
 && python -m pip wheel --no-deps --no-build-isolation --wheel-dir /wheels . \
 && /opt/gate/bin/pip install --no-deps /wheels/*.whl

FROM python:3.11-slim-bookworm
LABEL org.opencontainers.image.title="token-gate" \
      org.opencontainers.image.description="A stateless token-gate reverse proxy: a virtual waiting room" \
      org.opencontainers.image.licenses="MIT"
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin gate \
 && install -d -o 10001 -g 10001 -m 0700 /var/lib/gate
COPY --from=build /opt/gate /opt/gate
ENV PATH=/opt/gate/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    GATE_LISTEN=0.0.0.0:8080 \
    GATE_ADMIN_LISTEN=127.0.0.1:9090 \
    GATE_STATE_DIR=/var/lib/gate
USER 10001
VOLUME /var/lib/gate
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=2s --start-period=10s CMD ["python", "-c", \
  "import http.client; c = http.client.HTTPConnection('127.0.0.1', 8080, timeout=2); c.request('GET', '/_gate/readyz'); raise SystemExit(c.getresponse().status != 200)"]
ENTRYPOINT ["gate", "serve"]
