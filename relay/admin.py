"""The entry of the operator's page in Django's admin. A site without the admin never imports this."""

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import NoReverseMatch, reverse

from relay.access.operators import PERMISSION
from relay.models import OperatorsPage


@admin.register(OperatorsPage)
class OperatorsPageAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Leads to the page. Nobody sees it without the permission, or where no URL leads to the page."""

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _address() is not None and request.user.has_perm(PERMISSION)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        address = _address()
        if address is None or not self.has_view_permission(request):
            raise PermissionDenied
        return HttpResponseRedirect(address)


def _address() -> str | None:
    try:
        return reverse("relay-ops")
    except NoReverseMatch:
        return None
