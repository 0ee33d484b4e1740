"""What must be set before Django is: loaded first of all (`-p` in pyproject.toml)."""

import os

os.environ.setdefault("SECRET_KEY", "only-for-tests-" * 4)
for name in [n for n in os.environ if n.startswith("RELAY_") or n in {"REDIS_URL", "DEBUG"}]:
    del os.environ[name]  # whoever runs the tests may run a hub in the same shell
