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
