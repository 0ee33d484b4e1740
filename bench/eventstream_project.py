"""A Django project with django-eventstream, set up as its documentation says, for Daphne.

It takes its messages from Redis (EVENTSTREAM_REDIS), without storage. Settings, URLs and the ASGI
application are all in this module, which is never imported by the benchmark itself.
"""

import os

from django.core.asgi import get_asgi_application
from django.urls import include, path

CHANNEL = "demo_stream"

DEBUG = False
SECRET_KEY = "only-for-the-benchmark" * 3
ALLOWED_HOSTS = ["127.0.0.1"]
INSTALLED_APPS = ["daphne", "django_eventstream"]
ROOT_URLCONF = __name__
ASGI_APPLICATION = f"{__name__}.application"
DATABASES: dict[str, object] = {}
USE_TZ = True
EVENTSTREAM_REDIS = {"host": "127.0.0.1", "port": int(os.environ["REDIS_PORT"]), "db": 0}

os.environ["DJANGO_SETTINGS_MODULE"] = __name__

urlpatterns = [path("events/", include("django_eventstream.urls"), {"channels": [CHANNEL]})]

application = get_asgi_application()
