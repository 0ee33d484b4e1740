"""Fails as Django's own backends do."""

from django.core.exceptions import ImproperlyConfigured

raise ImproperlyConfigured("Error loading psycopg2 or psycopg module")
