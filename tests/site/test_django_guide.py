"""docs/django.md as written: from an existing site to its first live update.

The site is made from nothing with `startproject`, has a user model of its own with a UUID as primary
key, and an environment with the wheel, in which no path leads to this repository.
"""

import http.cookiejar
import json
import re
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from relay.server.embedded_redis import accepts_connections
from tests.site.conftest import environment
from tests.support.client import Stream
from tests.support.servers import ROOT, RedisServer, free_port
from tests.support.waiting import wait_until

GUIDE = (ROOT / "docs/django.md").read_text()

ACCOUNTS = """
import uuid
from django.contrib.auth.models import AbstractUser
from django.db import models

class User(AbstractUser):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
"""
MODELS = """
from django.conf import settings
from django.db import models

class Order(models.Model):
    customer = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)
    status = models.CharField(max_length=20, default="open")
"""
VIEWS = """
from django.contrib.auth.decorators import login_required
from django.shortcuts import get_object_or_404, redirect, render

from shop.models import Order


@login_required
def orders(request):
    return render(request, "orders.html", {"orders": Order.objects.filter(customer=request.user)})


"""
URLS = """
from django.contrib.auth.views import LoginView, LogoutView
from django.urls import path
from shop import views

urlpatterns += [
    path("login/", LoginView.as_view(template_name="login.html"), name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
    path("orders/", views.orders, name="orders"),
    path("orders/<int:pk>/pay/", views.pay, name="pay"),
]
"""
SETTINGS = """
INSTALLED_APPS += ["accounts", "shop"]
AUTH_USER_MODEL = "accounts.User"
LOGIN_URL = LOGIN_REDIRECT_URL = LOGOUT_REDIRECT_URL = "/login/"
"""
LOGIN = '<form method="post">{% csrf_token %}{{ form }}<button>Sign in</button></form>'
ORDERS = """<!doctype html>
<title>Orders</title>
<h1>{{ user.username }}</h1>
{% for order in orders %}
<p id="order-{{ order.pk }}">{{ order.status }}</p>
<form method="post" action="{% url 'pay' order.pk %}">{% csrf_token %}<button>Pay</button></form>
{% endfor %}
<form method="post" action="{% url 'logout' %}">{% csrf_token %}<button>Sign out</button></form>
"""
PEOPLE = """
import json
from accounts.models import User
from shop.models import Order
ann = User.objects.create_user("ann", password="pw-ann")
User.objects.create_user("bob", password="pw-bob")
print(json.dumps([str(ann.pk), Order.objects.create(customer=ann).pk]))
"""


def snippet(first: str, language: str = "python") -> str:
    """The one snippet of the guide that begins with `first`."""
    found = re.findall(rf"^```{language}\n({re.escape(first)}.*?)^```", GUIDE, re.M | re.S)
    assert len(found) == 1, first
    return str(found[0])


def commands(word: str) -> list[str]:
    """The lines of the guide's shell snippets that have a word, without their comments."""
    lines = "".join(re.findall(r"^```sh\n(.*?)^```", GUIDE, re.M | re.S)).splitlines()
    return [line.partition("  #")[0].strip() for line in lines if word in line]


TESTS = """
from accounts.models import User
from shop.models import Order

def make(self):
    self.ann = User.objects.create_user("ann", password="pw-ann")
    self.bob = User.objects.create_user("bob", password="pw-bob")
    self.order = Order.objects.create(customer=self.ann)
    self.client.force_login(self.ann)

PayTests.setUp = StreamTests.setUp = make
"""


class Site:
    """An existing site, to which the steps of the guide are applied."""

    def __init__(self, folder: Path, python: Path, redis: RedisServer) -> None:
        self.folder = folder
        self.python = python
        self.redis = redis
        self._make()
        self._apply_the_guide()
        self.manage("makemigrations", "accounts", "shop")
        self.ann, self.order = json.loads(self.manage("shell", "-v0", "-c", PEOPLE))

    def run(self, *words: str) -> str:
        result = subprocess.run(
            [str(self.python), *words],
            cwd=self.folder,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert result.returncode == 0, result.stderr
        return result.stdout

    def manage(self, *words: str) -> str:
        return self.run("manage.py", *words)

    def _make(self) -> None:
        self.run("-m", "django", "startproject", "mysite", ".")
        for app in ("accounts", "shop"):
            self.manage("startapp", app)
        self._write("accounts/models.py", ACCOUNTS)
        self._write("shop/models.py", MODELS)
        self._write("shop/templates/login.html", LOGIN)
        self._append("mysite/settings.py", SETTINGS)

    def _apply_the_guide(self) -> None:
        settings = snippet("# mysite/settings.py\nINSTALLED_APPS")
        assert 'REDIS_URL = "redis://127.0.0.1:6379/0"' in settings
        self._append("mysite/settings.py", settings.replace("6379", str(self.redis.port)))
        self._write("mysite/urls.py", snippet("# mysite/urls.py") + URLS)
        self._write("shop/views.py", VIEWS + snippet("# shop/views.py"))
        tests = snippet("from django.test import TestCase") + snippet(
            "from django.test import TransactionTestCase"
        )
        self._write("shop/tests.py", tests + TESTS)
        self._write("shop/templates/orders.html", ORDERS + snippet("<script>", "html"))
        [migrate] = commands("migrate")
        self.manage("makemigrations", "accounts", "shop")
        self.run(*migrate.removeprefix("python ").split())

    def _write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def _append(self, name: str, text: str) -> None:
        path = self.folder / name
        path.write_text(f"{path.read_text()}\n{text}")

    def start(self, *words: str) -> "Serving":
        return Serving(self, words)


class Serving:
    """A server of the site, started as the guide says, on a port of its own."""

    def __init__(self, site: Site, words: tuple[str, ...]) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = site.folder / f"{self.port}.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [str(site.python), *(word.replace("PORT", str(self.port)) for word in words)],
                cwd=site.folder,
                env=environment(PYTHONUNBUFFERED="1"),
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        wait_until(self._listens, f"{words} listens", 30)

    def _listens(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        return accepts_connections(self.port)

    def stop(self) -> None:
        self.process.terminate()
        assert self.process.wait(15) == 0
        assert "Traceback" not in self.log.read_text()


class Visitor:
    """A browser without scripts: cookies and forms."""

    def __init__(self, pages: Serving) -> None:
        self.pages = pages
        self.cookies = http.cookiejar.CookieJar()
        self.opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.cookies))

    def post(self, path: str, page: str, **fields: str) -> str:
        """Sends a form of a page; returns the page that it leads to."""
        text = self.get(page)
        [token] = set(re.findall(r'name="csrfmiddlewaretoken" value="(\w+)"', text)[:1])
        form = urllib.parse.urlencode({"csrfmiddlewaretoken": token, **fields}).encode()
        with self.opener.open(self.pages.url + path, form, timeout=10) as response:
            return str(response.read().decode())

    def get(self, path: str) -> str:
        with self.opener.open(self.pages.url + path, timeout=10) as response:
            return str(response.read().decode())

    def sign_in(self, name: str) -> None:
        self.post("/login/?next=/orders/", "/login/", username=name, password=f"pw-{name}")

    @property
    def headers(self) -> dict[str, str]:
        return {"Cookie": "; ".join(f"{c.name}={c.value}" for c in self.cookies)}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, python: Path) -> Iterator[Site]:
    redis = RedisServer()
    yield Site(tmp_path_factory.mktemp("site"), python, redis)
    redis.close()


@pytest.fixture
def start(site: Site) -> Iterator[Callable[..., Serving]]:
    serving: list[Serving] = []

    def start(*words: str) -> Serving:
        serving.append(site.start(*words))
        return serving[-1]

    yield start
    for server in serving:
        server.stop()


@pytest.fixture
def pages(start: Callable[..., Serving]) -> Serving:
    """gunicorn, by the guide's command line."""
    pytest.importorskip("gunicorn")
    [line] = commands("gunicorn ")
    words = line.removeprefix("gunicorn ").replace("8000", "PORT").split()
    return start("-m", "gunicorn", *words)


@pytest.fixture
def hub(start: Callable[..., Serving]) -> Serving:
    [line] = commands("relay serve --port")
    return start(*line.removeprefix("python ").replace("8001", "PORT").split())


def test_no_path_leads_to_this_repository(site: Site) -> None:
    code = "import sys, relay; print(relay.__file__); print(*sys.path, sep='\\n')"
    file, *path = site.run("-c", code).splitlines()
    assert file.startswith(str(site.python.parent.parent))
    assert str(ROOT) not in path
    assert [folder for folder in path if (site.folder / folder / "relay").exists()] == [
        str(Path(file).parent.parent)
    ]


def test_nothing_is_missing_by_the_checks(site: Site) -> None:
    assert "relay.E" not in site.manage("check")
    output = site.manage("relay", "check")
    assert "master, all rights" in output
    assert "Database 'default': reachable and migrated" in output


def test_the_five_steps_have_twelve_lines_and_no_asgi() -> None:
    steps = GUIDE.split("## Five steps")[1].split("\n## ")[0]
    assert re.findall(r"^\*\*(\d)\.", steps, re.M) == list("12345")
    own = [
        line
        for text in re.findall(r"^```\w+\n(.*?)^```", steps, re.M | re.S)
        for line in text.splitlines()
        if line and not line.startswith("# ")
    ]
    view = snippet("# shop/views.py").splitlines()
    had = [line for line in view if line and "relay" not in line and not line.startswith("# ")]
    assert len(own) - len(had) == 12
    assert "asgi" not in steps


def test_a_page_of_gunicorn_gets_its_update_and_a_signed_out_one_gets_no_more(
    site: Site, pages: Serving, hub: Serving
) -> None:
    ann, bob = Visitor(pages), Visitor(pages)
    ann.sign_in("ann")
    bob.sign_in("bob")
    path = f"/stream/?channel=orders.{site.ann}"
    assert f"channel=orders.{site.ann}" in ann.get("/orders/")
    with Stream(hub.url, path, headers=bob.headers) as refused:
        assert refused.response.status == 403
    with Stream(hub.url, path) as refused:
        assert refused.response.status == 401
    with Stream(hub.url, path, headers=ann.headers) as stream:
        assert stream.response.status == 200
        assert stream.line().startswith(b"retry: ")
        while not stream.line().startswith(b"id: "):
            pass
        ann.post(f"/orders/{site.order}/pay/", "/orders/")
        assert stream.event().data == f"Order {site.order} is paid."
        ann.post("/logout/", "/orders/")
        assert [event.data for event in stream.events()] == []
    with Stream(hub.url, path, headers=ann.headers) as refused:
        assert refused.response.status == 401


def test_the_process_for_streams_serves_no_page_of_the_site(hub: Serving) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        Visitor(hub).get("/login/")
    with refused.value as answer:
        assert answer.code == 404
        assert b"This process serves live streams." in answer.read()


def test_the_tests_of_the_guide_pass_in_the_site(site: Site) -> None:
    result = subprocess.run(
        [str(site.python), "manage.py", "test", "shop"],
        cwd=site.folder,
        env=environment(REDIS_URL="redis://127.0.0.1:1/0"),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert "Ran 2 tests" in result.stderr


def test_the_views_that_are_included_are_there_under_wsgi_and_beside_the_streams(
    site: Site, pages: Serving, hub: Serving
) -> None:
    health = json.loads(Visitor(hub).get("/live/health/"))
    assert health["redis"] == "live"
    ann = Visitor(pages)
    ann.sign_in("ann")
    for server in (pages, hub):
        ann.pages = server
        path = f"/live/presence/orders.{site.ann}/"
        assert json.loads(ann.get(path))["count"] == 0


def test_the_dashboard_is_as_the_site_protects_it_and_finds_its_files(
    site: Site, hub: Serving
) -> None:
    visitor = Visitor(hub)
    with pytest.raises(urllib.error.HTTPError) as sent_to_the_login:
        visitor.get("/dashboard/")
    with sent_to_the_login.value as answer:
        assert "/admin/login/?next=/dashboard/" in str(answer.url)
    assert "import" in visitor.get("/static/relay/app.js")
    found = site.manage("findstatic", "relay/app.css", "relay/vendor/uplot/uPlot.esm.js")
    assert str(site.python.parent.parent) in found


@pytest.mark.browser
def test_the_page_in_a_browser_shows_what_another_window_pays(
    site: Site, start: Callable[..., Serving], browser: Browser
) -> None:
    [line] = commands("relay serve --site")
    whole = start(*line.removeprefix("python ").split(), "--port", "PORT")
    context = browser.new_context()
    page, other = context.new_page(), context.new_page()
    page.goto(f"{whole.url}/login/?next=/orders/")
    page.get_by_label("Username").fill("ann")
    page.get_by_label("Password").fill("pw-ann")
    page.get_by_role("button", name="Sign in").click()
    with page.expect_response(lambda response: "/stream/" in response.url):
        page.goto(f"{whole.url}/orders/")
    other.goto(f"{whole.url}/orders/")
    other.get_by_role("button", name="Pay").click()
    expect(page.locator("body")).to_contain_text(f"Order {site.order} is paid.")
    context.close()
