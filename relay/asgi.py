"""The ASGI application that serves streams, and a site's own application beside them.

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mysite.settings")
application = relay_application(get_asgi_application())
"""

import sys

import django
from django.apps import apps

from relay.types import Application


def relay_application(site: Application | None = None) -> Application:
    """Streams are answered by relay, at RELAY_STREAM_PATH; everything else is passed on to `site`.

    Without a site everything else is 404. Ends the process, with one line, when a setting is not
    valid: a server that answers nothing helps nobody.
    """
    if not apps.ready:
        django.setup(set_prefix=False)
    from relay import conf
    from relay.engine.lifespan import accompany, start_with_reactor
    from relay.http.application import RelayApplication, RelayPages
    from relay.operator.reports import report_to_operators

    try:
        settings = conf.load()
    except ValueError as error:
        sys.exit(f"error: {error}")
    if "daphne.server" in sys.modules:
        from relay.http.body_limits import BodyLimits
        from relay.server.factory import harden

        harden(BodyLimits.of(settings, serves_site=not isinstance(site, RelayPages)))
    if settings.admin_address is not None:
        try:
            from relay.metrics.single import serve_metrics
        except ModuleNotFoundError as error:
            sys.exit(
                f"error: RELAY_ADMIN_ADDRESS needs {error.name}, which is not installed."
                " Run: pip install 'relay-hub[metrics]'."
            )
        accompany("admin address", serve_metrics)
    accompany("reports to operators", report_to_operators)
    start_with_reactor()
    return RelayApplication(site, settings.stream_path)
