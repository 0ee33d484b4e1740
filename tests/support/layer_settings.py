"""The hub's settings with the channel layers that the environment says, as JSON; `null` for no setting."""

import json
import os

from hub.settings import *  # noqa: F403

CHANNEL_LAYERS = json.loads(os.environ["TEST_CHANNEL_LAYERS"])
if CHANNEL_LAYERS is None:
    del CHANNEL_LAYERS
