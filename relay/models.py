"""No data of its own: only the permissions that Django's users can be given."""

from django.db import models


class Access(models.Model):
    """`relay.publish` and `relay.presence` (docs/publishing.md)."""

    class Meta:
        managed = False
        default_permissions = ()
        permissions = [
            ("publish", "May publish over HTTP"),
            ("presence", "May see who is on a channel"),
        ]


class OperatorsPage(models.Model):
    """`relay.operate` (docs/operations.md), and the entry in Django's admin."""

    class Meta:
        managed = False
        default_permissions = ()
        permissions = [("operate", "May use the operator's page")]
        verbose_name = verbose_name_plural = "operator's page"
