"""The page that shows the messages live."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from relay import conf


@require_safe
def dashboard(request: HttpRequest) -> HttpResponse:
    response = render(request, "index.html", {"channel": conf.load().channel})
    response["Cache-Control"] = "no-cache"
    return response
