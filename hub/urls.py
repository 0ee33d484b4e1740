"""What Django serves; streams are answered by hub/asgi.py."""

from django.urls import include, path

from relay.http.dashboard import dashboard

urlpatterns = [
    path("", dashboard, name="dashboard"),
    path("", include("relay.urls")),
]
