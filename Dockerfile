FROM python:3.11.13-slim-bookworm

ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
WORKDIR /srv/relay-hub
COPY requirements.txt .
RUN pip install --no-cache-dir -r requirements.txt
COPY . .
RUN useradd --system --no-create-home --uid 10001 relay && install -d -o relay /var/lib/relay-hub
ENV DATABASE_URL=sqlite:////var/lib/relay-hub/db.sqlite3
USER 10001
EXPOSE 8000
HEALTHCHECK --interval=5s --timeout=4s --retries=5 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/health/', timeout=3)"]
CMD ["scripts/container"]
