"""Where a site signs people in."""

from urllib.parse import urlsplit

from django.conf import settings as django_settings
from django.shortcuts import resolve_url
from django.urls import NoReverseMatch, Resolver404, get_script_prefix, resolve, reverse


def sign_in_address() -> str | None:
    """Returns LOGIN_URL if there is something at it, else the sign-in of the admin; None without either."""
    address = resolve_url(django_settings.LOGIN_URL)
    parts = urlsplit(address)
    if parts.netloc or _is_routed(parts.path):
        return address
    try:
        return reverse("admin:login")
    except NoReverseMatch:
        return None


def _is_routed(path: str) -> bool:
    try:
        resolve("/" + path.removeprefix(get_script_prefix()).lstrip("/"))
    except Resolver404:
        return False
    return True
