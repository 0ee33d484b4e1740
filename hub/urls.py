"""What Django serves; `/stream/` is in relay/routing.py."""

from django.urls import path

from relay import views

urlpatterns = [
    path("", views.dashboard, name="dashboard"),
    path("health/", views.health, name="health"),
]
