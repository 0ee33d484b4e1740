"""The hub's settings with a database whose connections are kept, and may break."""

from hub.settings import *  # noqa: F403
from hub.settings import DATABASES

DATABASES["default"] |= {"ENGINE": "tests.support.mortal", "CONN_MAX_AGE": 600}
