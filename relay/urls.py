"""What Django serves of relay: `path("live/", include("relay.urls"))`.

Streams are not among these. They are answered at RELAY_STREAM_PATH by the ASGI application (relay.asgi)
or by `manage.py relay serve`. A site that wants the dashboard routes `relay.http.dashboard.dashboard`.
"""

from django.urls import path

from relay.http import channels, health, history, operators, presence, publish, token

urlpatterns = [
    path("health/", health.health, name="relay-health"),
    path("health", health.health),
    path("token/", token.token, name="relay-token"),
    path("token", token.token),
    path("publish/<path:channel>/", publish.publish, name="relay-publish"),
    path("publish/<path:channel>", publish.publish),
    path("presence/<path:channel>/", presence.presence, name="relay-presence"),
    path("presence/<path:channel>", presence.presence),
    path("channels/", channels.channels, name="relay-channels"),
    path("channels", channels.channels),
    path("history/<path:channel>/", history.history, name="relay-history"),
    path("history/<path:channel>", history.history),
    path("ops/", operators.page, name="relay-ops"),
    path("ops", operators.page),
    path("ops/kick/", operators.kick, name="relay-ops-kick"),
    path("ops/find/", operators.find, name="relay-ops-find"),
]
