FROM python:3.11.13-slim-bookworm

ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
WORKDIR /srv/relay-hub
COPY requirements.txt .
RUN pip install --no-cache-dir -r requirements.txt
COPY . .
RUN useradd --system --no-create-home relay && install -d -o relay /var/lib/relay-hub
ENV DATABASE_URL=sqlite:////var/lib/relay-hub/db.sqlite3
USER relay
EXPOSE 8000
CMD ["scripts/container"]
