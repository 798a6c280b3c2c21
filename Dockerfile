# One image with three roles: `web` (the default), `worker`, `migrate`. Other commands of manage.py
# work too: `workflow list`, `createsuperuser`.

ARG PYTHON=3.13

FROM python:${PYTHON}-slim AS build
WORKDIR /app
COPY requirements.lock ./
RUN python -m venv /opt/venv && \
    /opt/venv/bin/python -m pip install --no-cache-dir --require-hashes --requirement requirements.lock
COPY manage.py ./
COPY children ./children
COPY parent ./parent
COPY monitor ./monitor
COPY mainproj ./mainproj
COPY quickstart ./quickstart
COPY roles ./roles
COPY examples ./examples
RUN /opt/venv/bin/python -m compileall -q .
RUN SECRET_KEY=for-this-line-alone STATIC_ROOT=/app/static /opt/venv/bin/python manage.py collectstatic --noinput

FROM python:${PYTHON}-slim
ENV PATH=/opt/venv/bin:$PATH \
    HOME=/tmp \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    STATIC_ROOT=/app/static \
    MEDIA_ROOT=/media \
    WEB_HOST=0.0.0.0
WORKDIR /app
COPY --from=build /opt/venv /opt/venv
COPY --from=build /app /app
RUN groupadd --gid 10001 app && useradd --uid 10001 --gid app --home-dir /tmp --no-create-home app
RUN install -d -m 700 -o app -g app /media
# By number: Kubernetes cannot verify that a user name is not root.
USER 10001:10001
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s CMD ["python", "manage.py", "health"]
ENTRYPOINT ["python", "manage.py"]
CMD ["web"]
