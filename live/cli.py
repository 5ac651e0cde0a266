"""`aadc-live`: cameras -> events, and what people do with them."""

import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aadc.manifests.command import CommandGroup, command_app, run_command
from aadc.manifests.shown import say

if TYPE_CHECKING:
    from aadc.live.kept_events import KeptEvents

EXAMPLES = """\b
Examples:
  aadc-live cameras.toml --run runs/mine
  aadc-live events

Exit status: 0 all done, 2 nothing could start, 130 interrupted."""
_OWN = ("--help", "--install-completion", "--show-completion")


class Live(CommandGroup):
    """`aadc-live cameras.toml` is `aadc-live watch cameras.toml`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """A first word that is no command of these is a file."""
        if args and args[0] not in self.commands and args[0] not in _OWN:
            args = ["watch", *args]
        return super().parse_args(ctx, args)


app = command_app(cls=Live, no_args_is_help=True, epilog=EXAMPLES)

Data = Annotated[Path, typer.Option(envvar="AADC_LIVE", help="Data folder, as `data` in the file of cameras.")]
Id = Annotated[str, typer.Argument(metavar="ID", help="Of the event; its last few signs are enough.")]
Who = Annotated[str, typer.Option(help="Who decides; it is kept with the decision.")]
Camera = Annotated[list[str] | None, typer.Option(metavar="CAMERA", help="Only of this camera (may be repeated).")]


@app.callback(short_help="Cameras -> events, clips, words.")
def live() -> None:
    """Watch cameras and keep what is abnormal as events, with clips and words.

    `aadc-live cameras.toml` starts it; the commands below look at events.
    """


@app.command(short_help="Watch cameras.", epilog="Example:  aadc-live cameras.toml --run runs/mine")
def watch(
    cameras: Annotated[Path, typer.Argument(metavar="CAMERAS.toml", help="Which cameras, and what is asked of each.")],
    run: Annotated[
        Path | None, typer.Option(help="Run folder whose models and head score [default: the file's, else the latest].")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 …")] = "auto",
) -> None:
    """Score what cameras show and keep events, until Ctrl-C or SIGTERM."""
    from dataclasses import replace

    _end_with_sigterm()
    from aadc.live.read_config import read_config

    read = read_config(cameras)
    for caution in read.cautions:
        say(f"note: {caution}", err=True)
    if run is not None:
        read = replace(read, config=read.config.model_copy(update={"run": run}))
    from aadc.live.watch import Watch

    Watch(read, cameras, device).run()


@app.command(short_help="Rules and zones that were changed.", epilog="Example:  aadc-live settings cameras.toml --reset door")
def settings(
    cameras: Annotated[Path, typer.Argument(metavar="CAMERAS.toml", help="The file whose values they stand over.")],
    reset: Annotated[
        list[str] | None, typer.Option(metavar="CAMERA", help="Back to the file's, for this camera (may be repeated).")
    ] = None,
    reset_all: Annotated[bool, typer.Option("--reset-all", help="Back to the file's, for all of them.")] = False,
    data: Annotated[Path | None, typer.Option(help="Data folder [default: the file's].")] = None,
) -> None:
    """Show what administrators changed on the dashboard: who, when, and what the file says; or go back to the file.

    Whatever is at work in the data folder goes by it within seconds.
    """
    from aadc.live.changed_settings import ChangedSettings
    from aadc.live.read_config import read_config

    config = read_config(cameras).config
    changed = ChangedSettings(config if data is None else config.model_copy(update={"data": data}))
    for line in changed.reset(reset, reset_all) if reset or reset_all else changed.lines():
        say(line)


@app.command(short_help="Two made-up cameras, to look around.", epilog="Example:  aadc-live demo --port 9000")
def demo(
    run: Annotated[Path, typer.Option(help="Run folder of `make demo`.")] = Path("runs/demo"),
    scenes: Annotated[Path, typer.Option(help="Its scenes.")] = Path("demo"),
    data: Annotated[Path, typer.Option(help="Folder for cameras.toml, events, clips.")] = Path("live-demo"),
    port: Annotated[int, typer.Option(min=1, max=65535, help="Of the dashboard.")] = 8765,
) -> None:
    """Watch drawn scenes, which an RTSP server shows over and over, until Ctrl-C."""
    _end_with_sigterm()
    from aadc.live.demo import watch_demo

    watch_demo(run, scenes, data, port)


@app.command(short_help="Whether this machine keeps up.", epilog="Example:  aadc-live bench --run runs/mine --cameras 4")
def bench(
    run: Annotated[
        Path | None,
        typer.Option(help="Run folder whose models and head score [default: AADC_RUN, else the latest under runs/]."),
    ] = None,
    cameras: Annotated[int, typer.Option(min=1, max=100, help="Made-up cameras at 30 fps, 640 x 360.")] = 4,
    seconds: Annotated[float, typer.Option(min=5, max=3600, help="How long.")] = 30.0,
    gate: Annotated[float, typer.Option(min=0, max=255, help="As of aadc-extract; 0 computes every frame.")] = 0.0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 …")] = "auto",
) -> None:
    """Measure on this machine: real-time factor, drops, and how late scores are."""
    from aadc.extract.run_choice import choose_run
    from aadc.live.bench import as_lines
    from aadc.live.bench import bench as measure

    for line in as_lines(measure(choose_run(run), device, cameras, seconds, gate=gate)):
        say(line)


@app.command(short_help="The newest events.", epilog="Example:  aadc-live events --camera yard --top 50")
def events(
    camera: Camera = None,
    top: Annotated[int, typer.Option(min=1, max=10_000, help="How many.")] = 20,
    decision: Annotated[str | None, typer.Option(help="confirmed, dismissed, renamed, or open for none of these.")] = None,
    data: Data = Path("live"),
) -> None:
    """List events, newest first, with what was decided."""
    _list(data, camera, top, None, decision)


@app.command(
    short_help="Events with these words.",
    epilog='Examples:  aadc-live find "person fall"     aadc-live find "a person lying on the floor" --pictures',
)
def find(
    words: Annotated[str, typer.Argument(help="All of them must be in description, class or camera.")],
    pictures: Annotated[bool, typer.Option("--pictures", help="What looks like them to CLIP, instead.")] = False,
    camera: Camera = None,
    top: Annotated[int, typer.Option(min=1, max=10_000, help="How many.")] = 20,
    run: Annotated[Path | None, typer.Option(help="With --pictures: run whose CLIP reads [default: the latest].")] = None,
    data: Data = Path("live"),
) -> None:
    """Look for events by the words of their descriptions, or by what their pictures look like."""
    if not pictures:
        _list(data, camera, top, words, None)
        return
    from functools import partial

    from aadc.extract.run_choice import choose_run
    from aadc.live.kept_events import KeptEvents
    from aadc.live.listing import likeness_table
    from aadc.live.text_tower import embedded

    KeptEvents(data).close()  # before CLIP is loaded
    kept = KeptEvents(data, partial(embedded, choose_run(run).path))
    found = kept.like(words, frozenset(camera) if camera else None, top)
    kept.close()
    for line in likeness_table(found.events):
        say(line)
    if not found.events:
        say("no events with pictures")
    if found.note:
        say(found.note, err=True)


@app.command(short_help="All about one event.", epilog="Example:  aadc-live show 3f2a9c")
def show(event: Id, data: Data = Path("live")) -> None:
    """Print what is known of one event, and where its clip is."""
    from aadc.live.listing import details

    kept = _open(data)
    found = _one(kept, event)
    for line in details(found, kept.file(found["id"], "clip")):
        say(line)


@app.command(short_help="It was one.", epilog="Example:  aadc-live confirm 3f2a9c")
def confirm(event: Id, who: Who = "operator", data: Data = Path("live")) -> None:
    """Say that an event was one. Confirmed events are what the head learns from."""
    _decide(data, event, "confirmed", None, who)


@app.command(short_help="It was none.", epilog="Example:  aadc-live dismiss 3f2a9c")
def dismiss(event: Id, who: Who = "operator", data: Data = Path("live")) -> None:
    """Say that an event was a false alarm. The head learns from those, too."""
    _decide(data, event, "dismissed", None, who)


@app.command(short_help="It was of another class.", epilog="Example:  aadc-live rename 3f2a9c fall")
def rename(
    event: Id,
    category: Annotated[str, typer.Argument(help="The right class, one of the head's (normal ones, too).")],
    new: Annotated[bool, typer.Option("--new", help="Also a word that is none of the head's classes.")] = False,
    who: Who = "operator",
    data: Data = Path("live"),
) -> None:
    """Give an event its right class; `confirm` it as well if it is to be learned from.

    What is none of the head's classes is taken with --new alone. It is shown and found, but nothing learns from it.
    """
    from aadc.live.kept_events import UnknownClassError
    from aadc.manifests.errors import UserError

    try:
        _decide(data, event, "renamed", category, who, new)
    except UnknownClassError as error:
        raise UserError(f"{error}; --new takes it all the same, but nothing learns from it") from None


@app.command(short_help="What was decided, to train on.", epilog="Example:  aadc-live export learned --add gym.csv")
def export(
    out: Annotated[Path, typer.Argument(help="Folder to write into.")],
    run: Annotated[
        Path | None, typer.Option(help="Run whose classes count [default: AADC_RUN, else the latest under runs/].")
    ] = None,
    add: Annotated[Path | None, typer.Option(help="Manifest whose videos are to be in it, too.")] = None,
    normal: Annotated[str | None, typer.Option(help="Class of dismissed events [default: the card's first normal].")] = None,
    fps: Annotated[
        float | None, typer.Option(min=1, max=240, help="Frames a second, as in training [default: what the head knows].")
    ] = None,
    test_share: Annotated[float, typer.Option(min=0, max=1, help="Share of a camera's days kept for testing.")] = 0.3,
    data: Data = Path("live"),
) -> None:
    """Write a manifest of confirmed and dismissed events with their clips, and Label Studio's tasks."""
    import shlex

    from aadc.extract.run_choice import choose_run
    from aadc.live.export import export_decided
    from aadc.live.reader import Reader
    from aadc.live.store import STORE
    from aadc.manifests.manifest import read_manifest

    Reader(data / STORE).close()
    folder = choose_run(run)
    before = read_manifest(add) if add else None
    done = export_decided(data, folder, out, "command line", None, normal, fps, test_share, before)
    for event, why in done.left_out:
        say(f"left out: {event}: {why}")
    more = f", {done.before} videos of {add}" if add else ""
    say(f"{done.confirmed} confirmed and {done.dismissed} dismissed events{more}: {done.manifest}")
    say(f"for Label Studio: {done.tasks}")
    like = f" --like {shlex.quote(str(folder.path))}"
    say(f"next: aadc-extract {shlex.quote(str(done.manifest))}{like}, then aadc-train-head; watch by the new run with --run")


@app.command(short_help="Remove events of a time.", epilog="Example:  aadc-live forget --from 2026-03-01 --to 2026-03-02")
def forget(
    start: Annotated[str, typer.Option("--from", help="Local time, as 2026-03-01 or 2026-03-01T14:00.")],
    end: Annotated[str, typer.Option("--to", help="Up to this one, not with it.")],
    camera: Annotated[str | None, typer.Option(help="Only of this camera.")] = None,
    who: Who = "operator",
    data: Data = Path("live"),
) -> None:
    """Remove events of a time for good: clips, words, decisions. That it was done is logged."""
    from aadc.live.clips import remove_clip
    from aadc.live.listing import utc_ns
    from aadc.live.reader import Reader
    from aadc.live.store import STORE, Store
    from aadc.manifests.errors import UserError

    first, last = utc_ns(start, "--from"), utc_ns(end, "--to")
    if last <= first:
        raise UserError("--to is not after --from: there is nothing between them")
    Reader(data / STORE).close()
    store = Store(data / STORE)
    gone = store.forget(first, last, who, camera).result(60)
    for clip in gone:
        if clip:
            remove_clip(data, Path(clip))
    store.close()
    say(f"{len(gone)} events forgotten")


def _end_with_sigterm() -> None:
    """SIGTERM ends what watches with status 0 from its first moment on; once processes are started, `Watch` takes it."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))


def _open(data: Path) -> "KeptEvents":
    from aadc.live.kept_events import KeptEvents

    return KeptEvents(data)


def _one(kept: "KeptEvents", event: str) -> dict[str, Any]:
    from aadc.manifests.errors import UserError

    found = kept.one_like(event)
    if found is None:
        raise UserError(f"there is no event {event}, or more than one that ends so; aadc-live events lists them")
    return found


def _list(data: Path, cameras: list[str] | None, top: int, words: str | None, decision: str | None) -> None:
    from aadc.live.listing import table
    from aadc.manifests.errors import UserError

    if decision not in (None, "confirmed", "dismissed", "renamed", "open"):
        raise UserError(f"--decision {decision}: confirmed, dismissed, renamed or open")
    found = _open(data).newest(frozenset(cameras) if cameras else None, None, top, words, None, decision)
    if not found:
        say("no events" + (" with these words" if words else ""))
    for line in table(found):
        say(line)


def _decide(data: Path, event: str, decision: str, category: str | None, who: str, new: bool = False) -> None:
    kept = _open(data)
    found = kept.decide(_one(kept, event)["id"], decision, category, who, new)
    say(f"{found['id']}: {found['category']} ({found['camera']}), {found['decision']}")


def main() -> None:
    """Console script."""
    run_command(app, "aadc-live")


if __name__ == "__main__":
    main()
