"""The ASGI application: `daphne hub.asgi:application`, or any other ASGI server."""

import os

from django.core.asgi import get_asgi_application

from relay.asgi import relay_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hub.settings")
application = relay_application(get_asgi_application())
