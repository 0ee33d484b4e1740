"""Which path is a stream. Everything else is Django's."""

from django.urls import re_path

from relay.http.consumer import StreamConsumer

urlpatterns = [re_path(r"^stream/?$", StreamConsumer.as_asgi())]
