"""The operator's page in Django's admin, in a site that has it."""

import json

import pytest

from tests.support.servers import RedisServer
from tests.support.site import MakeSite

ASK = """
import json
from django.contrib.auth.models import Permission, User
from django.test import Client
answers = {}
for name in ("ann", "bob", "eve"):
    user = User.objects.get(username=name)
    user.is_staff = True
    user.save(update_fields=["is_staff"])
    if name == "bob":
        user.user_permissions.add(Permission.objects.get(codename="operate"))
    client = Client()
    client.force_login(user)
    index = client.get("/admin/", headers={"host": "localhost"}).content.decode()
    entry = client.get("/admin/relay/operatorspage/", headers={"host": "localhost"})
    answers[name] = ["Relay Hub" in index, entry.status_code, entry.headers.get("Location")]
nobody = Client().get("/live/ops/", headers={"host": "localhost"})
answers["nobody"] = [nobody.status_code, nobody.headers.get("Location")]
print(json.dumps(answers))
"""


@pytest.fixture
def env(redis_server: RedisServer) -> dict[str, str]:
    return {"REDIS_URL": redis_server.url, "DJANGO_SETTINGS_MODULE": "tests.support.admin_settings"}


def test_the_entry_leads_operators_to_the_page_and_nobody_else_sees_it(
    make_site: MakeSite, env: dict[str, str]
) -> None:
    site = make_site(**env)
    site.manage("migrate", "--verbosity=0")
    assert json.loads(site.run(ASK)) == {
        "ann": [False, 403, None],
        "bob": [True, 302, "/live/ops/"],
        "eve": [True, 302, "/live/ops/"],
        "nobody": [302, "/admin/login/?next=/live/ops/"],
    }


def test_a_site_that_does_not_route_the_page_has_no_entry(
    make_site: MakeSite, env: dict[str, str]
) -> None:
    site = make_site(**env, TEST_WITHOUT_OPS="1")
    site.manage("migrate", "--verbosity=0")
    answers = json.loads(site.run(ASK))
    assert answers["eve"] == [False, 403, None]
    assert answers["nobody"] == [404, None]
