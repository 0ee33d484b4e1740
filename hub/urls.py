"""What Django serves; `/stream/` is in relay/routing.py."""

from django.urls import path

from relay import presence_views, publish_views, token_views, views

urlpatterns = [
    path("", views.dashboard, name="dashboard"),
    path("health/", views.health, name="health"),
    path("token/", token_views.token, name="token"),
    path("publish/<path:channel>/", publish_views.publish, name="publish"),
    path("publish/<path:channel>", publish_views.publish),
    path("presence/<path:channel>/", presence_views.presence, name="presence"),
    path("presence/<path:channel>", presence_views.presence),
]
