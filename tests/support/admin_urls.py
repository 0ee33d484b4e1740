"""The URLs of a site with Django's admin; without the hub's where TEST_WITHOUT_OPS is set."""

import os

from django.contrib import admin
from django.urls import include, path

urlpatterns = [path("admin/", admin.site.urls)]
if "TEST_WITHOUT_OPS" not in os.environ:
    urlpatterns += [path("live/", include("relay.urls"))]
