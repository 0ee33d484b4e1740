"""The dashboard in a real Chromium: readers of all kinds, and their devices."""

import re
import time

import pytest
from playwright.sync_api import Page, expect

from tests.support.browser import Dashboard, OpenDashboard, Shared, publish_numbers
from tests.support.corpus import MIB
from tests.support.servers import HubProcess, RedisServer

pytestmark = pytest.mark.browser


def test_the_names_that_assistive_technology_gets(dashboard: Dashboard, shared: Shared) -> None:
    shared.redis.publish("Test Event")
    expect(dashboard.rows).to_have_count(1)
    expect(dashboard.page.locator("body")).to_match_aria_snapshot(
        """
        - link "Skip to the messages"
        - banner:
          - heading "Relay Hub" [level=1]
          - status: Live
          - 'button "Alerts: off"'
          - 'button "Theme: system"'
          - button "Shortcuts"
        - main:
          - region "Figures":
            - term: Events per second
            - img /^Last minute. \\d+ events? per second now, \\d+ at most$/
            - term: Messages
            - definition: "1"
            - term: Gaps
            - definition: "0"
            - term: Reconnects
            - definition: "0"
          - heading "Messages" [level=2]
          - list "Channels":
            - listitem:
              - code: demo_stream
              - text: /.*\\/s/
          - searchbox "Filter messages"
          - button "Channels"
          - button "Pause"
          - button "Clear"
          - button "Export"
          - log "Messages":
            - list:
              - listitem:
                - button "Details"
                - time
                - text: /\\d+-\\d+ Test Event/
                - button "Copy"
        """
    )
    expect(dashboard.log).to_have_attribute("aria-live", "off")
    expect(dashboard.page.locator("#summary")).to_have_attribute("aria-live", "polite")


def test_a_screen_reader_hears_a_summary_every_few_seconds(
    open_dashboard: OpenDashboard, shared: Shared
) -> None:
    dashboard = open_dashboard(shared.hub)
    dashboard.page.clock.install()
    dashboard.open()
    summary = dashboard.page.locator("#summary")
    publish_numbers(shared, 0, 1200)
    shared.redis.publish("\n" * MIB)
    expect(dashboard.figure("bytes")).to_contain_text("1 too large")
    dashboard.page.clock.run_for(5000)
    expect(summary).to_have_text("1,200 new messages, 1 oversize message")


def test_the_keyboard_alone_is_enough(
    open_dashboard: OpenDashboard, hub: HubProcess, redis_server: RedisServer
) -> None:
    dashboard = open_dashboard(hub)
    keyboard = dashboard.page.keyboard
    dashboard.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    for text in ("first", "second", "x" * 3000):
        redis_server.publish(text)
    expect(dashboard.rows).to_have_count(3)
    names = []
    for _ in range(10):
        keyboard.press("Tab")
        assert focus_is_visible(dashboard.page)
        names.append(dashboard.page.evaluate(FOCUSED))
    assert names == [
        "Skip to the messages",
        "Alerts: off",
        "Theme: system",
        "Shortcuts",
        "Filter messages",
        "Channels",
        "Pause",
        "Clear",
        "Export",
        "Messages",
    ]
    keyboard.press("ArrowUp")
    redis_server.publish("while reading")
    expect(dashboard.newest).to_have_text("1 new message")
    keyboard.press("Tab")
    assert dashboard.page.evaluate(FOCUSED) == "Details"
    keyboard.press("Enter")
    expect(dashboard.message).to_have_text("x" * 3000)
    keyboard.press("Enter")
    expect(dashboard.message).to_be_hidden()
    keyboard.press("ArrowUp")
    keyboard.press("Tab")
    keyboard.press("Tab")
    keyboard.press("Enter")
    expect(dashboard.button("Copied")).to_be_visible()
    assert dashboard.page.evaluate("navigator.clipboard.readText()") == "second"
    keyboard.press("Escape")
    expect(dashboard.log).to_be_focused()
    expect(dashboard.rows).to_have_count(4)
    expect(dashboard.newest).to_be_hidden()


FOCUSED = """() => {
    const focused = document.activeElement;
    return focused.ariaLabel ?? focused.innerText.trim();
}"""


def focus_is_visible(page: Page) -> bool:
    return bool(
        page.evaluate(
            """() => {
                const style = getComputedStyle(document.activeElement);
                return style.outlineStyle === "solid" && parseFloat(style.outlineWidth) >= 2;
            }"""
        )
    )


def test_the_skip_link_leads_to_the_log(dashboard: Dashboard) -> None:
    dashboard.page.keyboard.press("Tab")
    expect(dashboard.page.get_by_role("link", name="Skip to the messages")).to_be_in_viewport()
    dashboard.page.keyboard.press("Enter")
    expect(dashboard.log).to_be_focused()


def test_single_keys_do_what_the_list_says(dashboard: Dashboard, shared: Shared) -> None:
    keyboard = dashboard.page.keyboard
    keys = dashboard.page.get_by_role("dialog", name="Keyboard shortcuts")
    shared.redis.publish("one")
    expect(dashboard.rows).to_have_count(1)
    keyboard.press("p")
    expect(dashboard.button("Resume")).to_be_visible()
    keyboard.press("n")
    expect(dashboard.button("Pause")).to_be_visible()
    keyboard.press("t")
    expect(dashboard.button("Theme: light")).to_be_visible()
    keyboard.press("c")
    expect(dashboard.rows).to_have_count(0)
    keyboard.press("?")
    expect(keys).to_be_visible()
    listed = {text.lower() for text in keys.locator("dt").all_text_contents()}
    assert listed == {"p", "c", "n", "/", "t", "?", "↑ ↓", "enter", "h"}
    keyboard.press("p")
    keyboard.press("Escape")
    expect(keys).to_be_hidden()
    expect(dashboard.button("Pause")).to_be_visible()
    keyboard.press("/")
    keyboard.type("cpt")
    expect(dashboard.filter).to_have_value("cpt")
    expect(dashboard.button("Theme: light")).to_be_visible()


def test_single_keys_can_be_switched_off_for_good(dashboard: Dashboard) -> None:
    dashboard.button("Shortcuts").click()
    dashboard.page.get_by_role("checkbox", name="Use the single-key shortcuts").uncheck()
    dashboard.button("Close").click()
    dashboard.page.keyboard.press("p")
    expect(dashboard.button("Pause")).to_be_visible()
    dashboard.page.reload()
    expect(dashboard.status).to_have_text("Live")
    dashboard.page.keyboard.press("p")
    expect(dashboard.button("Pause")).to_be_visible()


GROUND = "getComputedStyle(document.body).backgroundColor"
LIGHT, DARK = "rgb(244, 246, 249)", "rgb(11, 14, 19)"


def test_the_theme_follows_the_system_until_one_is_chosen(dashboard: Dashboard) -> None:
    page = dashboard.page
    page.emulate_media(color_scheme="dark")
    assert page.evaluate(GROUND) == DARK
    page.emulate_media(color_scheme="light")
    assert page.evaluate(GROUND) == LIGHT
    dashboard.button("Theme: system").click()
    dashboard.button("Theme: light").click()
    expect(dashboard.button("Theme: dark")).to_be_visible()
    assert page.evaluate(GROUND) == DARK
    page.reload()
    expect(dashboard.button("Theme: dark")).to_be_visible()
    assert page.evaluate(GROUND) == DARK
    dashboard.button("Theme: dark").click()
    expect(dashboard.button("Theme: system")).to_be_visible()
    assert page.evaluate(GROUND) == LIGHT


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_has_contrast(
    open_dashboard: OpenDashboard, hub: HubProcess, redis_server: RedisServer, scheme: str
) -> None:
    dashboard = open_dashboard(hub, color_scheme=scheme)
    assert low_contrast(dashboard) == []
    for payload in ('{"a":["b",1,null]}', "bidi \u202e", "", "x" * 3000, "\n" * MIB):
        redis_server.publish(payload)
    redis_server.kill()
    hub.wait_for_redis("lost")
    redis_server.start()
    expect(dashboard.row("Gap")).to_have_count(1)
    dashboard.page.keyboard.press("p")
    redis_server.publish("new")
    expect(dashboard.newest).to_be_visible()
    assert low_contrast(dashboard) == []
    hub.kill()
    expect(dashboard.status).to_have_text("Reconnecting…")
    dashboard.button("Shortcuts").click()
    assert low_contrast(dashboard) == []
    dashboard.page.evaluate("dispatchEvent(new Event('offline'))")
    expect(dashboard.status).to_have_text("Offline")
    assert low_contrast(dashboard) == []


def low_contrast(dashboard: Dashboard) -> list[str]:
    """Texts on the page with less than 4.5:1 on what is behind them (WCAG 2.2, 1.4.3)."""
    script = """() => {
        const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
        const bytes = (colours) => {
            canvas.clearRect(0, 0, 1, 1);
            for (const colour of colours) { canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1); }
            return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
        };
        const luminance = (rgb) => {
            const linear = (v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
            const [r, g, b] = rgb.map((value) => linear(value / 255));
            return 0.2126 * r + 0.7152 * g + 0.0722 * b;
        };
        const grounds = (element) => element
            ? [...grounds(element.parentElement), getComputedStyle(element).backgroundColor] : [];
        const ratio = (element) => {
            const behind = grounds(element);
            const a = luminance(bytes(behind));
            const b = luminance(bytes([...behind, getComputedStyle(element).color]));
            return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        };
        const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
        const low = [];
        let seen = 0;
        while (walker.nextNode()) {
            const element = walker.currentNode.parentElement;
            const text = walker.currentNode.data.trim().slice(0, 40);
            if (!text || !element.checkVisibility()) continue;
            seen += 1;
            if (ratio(element) < 4.5) low.push(`${text}: ${ratio(element).toFixed(2)}`);
        }
        return seen < 15 ? [`only ${seen} texts`] : low;
    }"""
    return list(dashboard.page.evaluate(script))


@pytest.mark.parametrize("width", [1920, 390, 320])
def test_it_fits_every_width(open_dashboard: OpenDashboard, shared: Shared, width: int) -> None:
    dashboard = open_dashboard(shared.hub, viewport={"width": width, "height": 844})
    for payload in ("x" * 5000, "\u0f3c" * 300, '{"key":"' + "v" * 500 + '"}', "a\tb" * 300):
        shared.redis.publish(payload)
    expect(dashboard.rows).to_have_count(4)
    assert (
        dashboard.page.evaluate(
            """() => [...document.querySelectorAll("body *")].filter((e) => e.checkVisibility())
            .filter((e) => !e.parentElement.closest(".row-text"))
            .filter((e) => e.getBoundingClientRect().right > innerWidth + 1).map((e) => e.outerHTML)"""
        )
        == []
    )
    for name in ("Channels", "Pause", "Clear", "Export", "Theme: system", "Shortcuts"):
        expect(dashboard.button(name)).to_be_in_viewport(ratio=1)
        box = dashboard.button(name).bounding_box()
        assert box is not None
        assert min(box["width"], box["height"]) >= 24


def test_nothing_moves_for_who_wants_less_motion(
    open_dashboard: OpenDashboard, shared: Shared
) -> None:
    dashboard = open_dashboard(shared.hub, reduced_motion="reduce")
    moving = dashboard.page.evaluate(
        """() => [...document.querySelectorAll("*")].map((e) => getComputedStyle(e))
            .filter((s) => s.transitionDuration !== "0s" || s.animationName !== "none").length"""
    )
    assert moving == 0


def test_the_rate_is_drawn(dashboard: Dashboard, shared: Shared) -> None:
    chart = dashboard.page.get_by_role("img", name=re.compile("^Last minute"))
    deadline = time.monotonic() + 10
    publish_numbers(shared, 0, 40)
    expect(chart).to_have_accessible_name(re.compile(", (40|[1-3]?[0-9]) at most$"))
    expect(chart).not_to_have_accessible_name(re.compile(" 0 at most$"))
    assert time.monotonic() < deadline
    drawn = dashboard.page.evaluate(
        """() => {
            const canvas = document.querySelector("rate-chart canvas");
            const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
            return data.some((value) => value !== 0);
        }"""
    )
    assert drawn


def test_nothing_is_loaded_from_elsewhere(open_dashboard: OpenDashboard, hub: HubProcess) -> None:
    dashboard = open_dashboard(hub)
    urls: list[str] = []
    dashboard.page.on("request", lambda request: urls.append(request.url))
    answer = dashboard.page.reload()
    expect(dashboard.status).to_have_text("Live")
    assert answer is not None
    assert "default-src 'self'" in answer.headers["content-security-policy"]
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert len(urls) > 15
    assert [url for url in urls if not url.startswith(f"{hub.url}/")] == []
