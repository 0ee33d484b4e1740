"""What Django serves; `/stream/` is in relay/routing.py."""

from django.urls import path

from relay import token_views, views

urlpatterns = [
    path("", views.dashboard, name="dashboard"),
    path("health/", views.health, name="health"),
    path("token/", token_views.token, name="token"),
]
