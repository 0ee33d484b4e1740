FROM python:3.11.13-slim-bookworm AS packages
COPY requirements.txt .
RUN python -m venv --without-pip /opt/venv
RUN pip --python /opt/venv/bin/python install --no-cache-dir --require-hashes -r requirements.txt

FROM python:3.11.13-slim-bookworm
ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 PATH=/opt/venv/bin:$PATH
# Nothing is installed in the running container.
RUN pip uninstall --yes --root-user-action ignore setuptools wheel pip
RUN useradd --system --no-create-home --uid 10001 relay && install -d -o relay /var/lib/relay-hub
COPY --from=packages /opt/venv /opt/venv
WORKDIR /srv/relay-hub
COPY . .
ENV DATABASE_URL=sqlite:////var/lib/relay-hub/db.sqlite3
USER 10001
EXPOSE 8000
HEALTHCHECK --interval=5s --timeout=4s --retries=5 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/readyz', timeout=3)"]
CMD ["scripts/container"]
