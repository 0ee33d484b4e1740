"""What Django serves; `/stream/` is in relay/routing.py."""

from django.urls import path

from relay.http import dashboard, health, presence, publish, token

urlpatterns = [
    path("", dashboard.dashboard, name="dashboard"),
    path("health/", health.health, name="health"),
    path("token/", token.token, name="token"),
    path("publish/<path:channel>/", publish.publish, name="publish"),
    path("publish/<path:channel>", publish.publish),
    path("presence/<path:channel>/", presence.presence, name="presence"),
    path("presence/<path:channel>", presence.presence),
]
