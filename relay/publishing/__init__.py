"""Publishing from Python: `relay.publish` and `relay.apublish`, in any process of a Django project."""

from relay.publishing.api import apublish, publish

__all__ = ["apublish", "publish"]
