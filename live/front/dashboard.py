"""The dashboard's script, which Streamlit runs for each person who looks: cameras, live, review, health, rules, settings.

No picture passes through here: pages get addresses, and the browser fetches video, pictures and clips from the server, which
asks who may see them. Names, words and classes are data of components that put them in as text. What a person decides goes to
the API of the server, which knows roles and keeps the log; here it is only shown.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import streamlit as st

from aadc.live.front.house import PAGES, House, house
from aadc.live.rights import Role, User
from aadc.live.served import LikeWords
from aadc.manifests.errors import UserError

REFRESH_S = 1.5
# What is being drawn anew is not faded meanwhile: everything is, every moment, and a busy server takes its time.
_STYLE = '.stMainBlockContainer { padding-top: 4rem; } .stElementContainer[data-stale="true"] { opacity: 1 !important; }'
_CSS = (PAGES / "front.css").read_text(encoding="utf-8")
_DECISIONS = {"to review": "open", "confirmed": "confirmed", "dismissed": "dismissed", "renamed": "renamed", "all": None}
_FEWEST, _MOST = 25, 200
_LOOKS_AGAIN_S = 15.0  # through pictures: that takes longer than a list


def component(name: str) -> Callable[..., Any]:
    """A part of a page that is drawn by `live/pages/NAME.js`, whose `render(component)` is called with each new data."""
    js = f"""
    export default function (component) {{
      const place = component.parentElement;
      place.aadc ??= {{ leave: null }};
      import(location.origin + "/pages/{name}.js").then((page) => page.render(component, place.aadc));
      return () => place.aadc.leave?.();
    }}"""
    return st.components.v2.component(f"aadc.{name}", html='<div class="front"></div>', css=_CSS, js=js)


def main() -> None:
    """One run of the script."""
    st.set_page_config(page_title="AADC live", layout="wide")
    st.html(f"<style>{_STYLE}</style>")
    home = house()
    user = home.user(st.context.cookies.get(home.cookie, ""))
    if user is None:
        st.info("You are logged out.")
        st.link_button("Log in", "/login")
        st.stop()
    pages = [
        st.Page(lambda: cameras(home, user), title="Cameras", url_path="cameras", default=True),
        st.Page(lambda: live(home, user), title="Live", url_path="live"),
        st.Page(lambda: review(home, user), title="Review", url_path="review"),
        st.Page(lambda: health(home, user), title="Health", url_path="health"),
        st.Page(lambda: settings(home, user), title="Settings", url_path="settings"),
    ]
    if user.role.covers(Role.ADMINISTRATOR):
        pages.insert(-1, st.Page(lambda: rules(home, user), title="Rules", url_path="rules"))
    st.navigation(pages, position="top").run()


def refreshed(home: House, user: User, draw: Callable[[], None]) -> None:
    """Draw a part of a page now, and again and again. Rights are asked anew each time: it runs without the page around it."""

    @st.fragment(run_every=REFRESH_S)
    def part() -> None:
        if home.user(st.context.cookies.get(home.cookie, "")) != user:
            st.rerun()
        draw()

    part()


def seen(home: House, user: User) -> list[str]:
    """The cameras this person may see."""
    return [name for name in home.cameras.names() if user.sees(name)]


def newest(home: House, user: User, **asked: Any) -> list[dict[str, Any]]:
    """Events this person may see, newest first."""
    usual = {"before": None, "limit": _FEWEST, "words": None, "category": None, "decision": None}
    return home.events.newest(asked.pop("cameras", user.cameras), **(usual | asked))


def cameras(home: House, user: User) -> None:
    """Every camera: its picture, state, how far scoring keeps up, and its last event."""
    tiles = component("tiles")

    def refresh() -> None:
        shown = []
        for name in seen(home, user):
            last = newest(home, user, cameras=frozenset([name]), limit=1)
            shown.append({"name": name, "now": home.cameras.state(name), "last": last[0] if last else None})
        if not shown:
            st.info("There is no camera here that you may see.")
        tiles(data={"cameras": shown, "at_ms": _now_ms()}, key="tiles")

    refreshed(home, user, refresh)


def live(home: House, user: User) -> None:
    """One camera: picture, boxes, the curve of its scores with both thresholds."""
    names = seen(home, user)
    if not names:
        st.info("There is no camera here that you may see.")
        return
    asked = st.query_params.get("camera")
    name = st.selectbox("Camera", names, index=names.index(asked) if asked in names else 0)
    st.query_params["camera"] = name
    component("live")(data={"camera": name}, key="live")  # never inside a fragment: the picture must not begin anew


def review(home: House, user: User) -> None:
    """Events: newest first, filtered; one of them open with clip, curve, words; confirm, dismiss, rename, undo by one key."""
    names = seen(home, user)
    first, second, third = st.columns(3)
    decision = first.selectbox("Show", list(_DECISIONS))
    chosen = second.multiselect("Cameras", names, placeholder="all")
    category = third.text_input("Class", placeholder="any", max_chars=100).strip() or None
    first, second, third = st.columns([2, 1, 3], vertical_alignment="bottom")
    since = first.segmented_control("When", ["any time", "today", "last hour"], default="any time")
    looked_in = second.segmented_control("Search in", ["words", "pictures"], default="words") or "words"
    asks = {"words": "words of the descriptions", "pictures": "what it looks like, as: a person lying on the floor"}
    words = third.text_input("Search for", placeholder=asks[looked_in], max_chars=200, key="search").strip()
    more = st.session_state.setdefault("more", _FEWEST)
    page = component("review")
    like = bool(words) and looked_in == "pictures"

    def found() -> LikeWords:
        asked = {
            "cameras": (frozenset(chosen) & frozenset(names)) if chosen else user.cameras,
            "limit": more,
            "category": category,
            "decision": _DECISIONS[decision],
            "start_ns": _since_ns(since),
        }
        if not like:
            return LikeWords(newest(home, user, words=words or None, **asked), "")
        key = (words, *(asked[name] for name in ("cameras", "limit", "category", "decision")), since)
        kept = st.session_state.get("looked")
        if kept is None or kept[0] != key or time.monotonic() - kept[1] > _LOOKS_AGAIN_S:
            with st.spinner("Looking through pictures; the first time CLIP is loaded, which takes some seconds"):
                try:
                    alike = home.events.like(words, **asked)
                except UserError as error:
                    alike = LikeWords([], str(error))
            kept = st.session_state["looked"] = (key, time.monotonic(), alike)
        return kept[2]

    def refresh() -> None:
        told = st.empty()  # there in any case, or what follows would be another one
        try:
            with told:
                events, note = found()
        except Exception as error:  # the store is being made anew, or its disk is away: say so, and try again by itself
            st.warning(f"Events cannot be read just now ({type(error).__name__}); trying again.")
            return
        told.info(_text(note)) if note else told.empty()
        st.session_state["found"] = len(events)
        data = {
            "events": events,
            "classes": home.events.classes(),
            "may_decide": user.role.covers(Role.REVIEWER),
            "may_export": user.role.covers(Role.ADMINISTRATOR),
            "filtered": bool(chosen or category or words or _since_ns(since)) or decision not in ("to review", "all"),
            "to_review": decision == "to review",
            "search": [looked_in, words] if words else None,
        }
        page(data=data, key="review")

    refreshed(home, user, refresh)
    if st.session_state.get("found", 0) >= more and st.button("Show older", disabled=more >= _MOST):
        st.session_state["more"] = min(more + _FEWEST, _MOST)
        st.rerun()


def health(home: House, user: User) -> None:
    """How everything is: cameras, drops, delays, disk, the cleaner."""

    def refresh() -> None:
        rows, names = [], seen(home, user)
        for name in names:
            rows.append({"camera": name, **_row(home.cameras.state(name))})
        st.subheader("Cameras")
        st.dataframe(rows, hide_index=True)
        # Parts of cameras that this person may not see, and of those that are no more, are not there.
        parts = [part for part in home.cameras.health() if part["camera"] is None or part["camera"] in names]
        st.subheader("The system")
        for part in parts:
            if not part["ok"]:
                st.error(f"**{_text(part['name'])}**: {_text(part['told'])}")
        st.dataframe(
            [
                {"part": part["name"], "well": part["ok"], "told": part["told"], "last success": _when(part["utc_ns"])}
                for part in parts
            ],
            hide_index=True,
        )

    refreshed(home, user, refresh)


def rules(home: House, user: User) -> None:
    """For an administrator: when scores become events, and the zones of cameras."""
    component("rules")(data={"cameras": seen(home, user), "every": user.cameras is None}, key="rules")


def settings(home: House, user: User) -> None:
    """One's own account; for an administrator people, tokens, sessions, the log of who did what."""
    component("account")(data={"name": user.name, "role": user.role.value, "cameras": seen(home, user)}, key="account")
    if not user.role.covers(Role.ADMINISTRATOR):
        return
    st.subheader("Who did what")

    def refresh() -> None:
        log = home.access.log(limit=200)
        told = []
        for one in log:
            first = {"when": _when(one.utc_ns), "who": one.who, "from": one.address, "what": one.what}
            told.append(first | {"camera": one.camera, "subject": one.subject})
        st.dataframe(told, hide_index=True)

    refreshed(home, user, refresh)


def _row(state: dict[str, Any]) -> dict[str, Any]:
    """What the table of cameras says of one."""
    scoring = state.get("scoring") or {}
    return {
        "state": state.get("state"),
        "what is wrong": ", ".join(filter(None, [state.get("error"), *state.get("wrong", [])])),
        "frames a second": state.get("fps"),
        "real-time factor": scoring.get("real_time"),
        "scored": scoring.get("scored"),
        "dropped": scoring.get("dropped"),
        "carried over": scoring.get("carried"),
        "damaged": state.get("damaged"),
        "connected": state.get("connects"),
        "behind by s": _behind(state.get("lag_s")),
        "score late by s (p50, p95)": _late(scoring.get("late_s")),
    }


def _behind(lag_s: Any) -> float | None:
    """How much later than the first ones frames come now; clocks differ, so that they may come earlier, too."""
    return round(max(lag_s, 0.0), 1) if isinstance(lag_s, int | float) else None


def _late(shares: Any) -> str | None:
    """How old a frame was when its score was known, over the last five minutes."""
    return f"{shares['p50']:.2f}, {shares['p95']:.2f}" if isinstance(shares, dict) and {"p50", "p95"} <= shares.keys() else None


def _text(words: str) -> str:
    """Words in Markdown that stay what they are."""
    return "".join(f"\\{char}" if char in "\\`*_{}[]()#+-.!|<>$:~^" else char for char in words)


def _now_ms() -> int:
    return time.time_ns() // 10**6


def _since_ns(since: str | None) -> int | None:
    now = datetime.now().astimezone()
    if since == "today":
        return int(now.replace(hour=0, minute=0, second=0, microsecond=0).timestamp()) * 10**9
    return int(now.timestamp() - 3600) * 10**9 if since == "last hour" else None


def _when(utc_ns: int) -> str:
    return datetime.fromtimestamp(utc_ns / 1e9, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S %Z") if utc_ns else "never"


main()
