"""`aadc-table`: train what a table of the paper needs, print it, keep it."""

from pathlib import Path

from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress

from aadc.eval.commands import say_caution
from aadc.eval.experiments import ABLATION, K_GAMMA, PLAIN, figures_of, jobs_of, test_split, train_all
from aadc.eval.metrics import category_figures
from aadc.eval.out_folder import writing_to
from aadc.eval.paper_tables import PaperTable, confusion_table, keep, over_seeds
from aadc.extract.devices import choose_device
from aadc.extract.run_choice import choose_run
from aadc.extract.run_folder import RunFolder
from aadc.extract.shards import ShardSet
from aadc.head.checkpoint import load_head
from aadc.head.text_tower import load_tower
from aadc.manifests.errors import UserError
from aadc.manifests.shown import say


def make_table(
    run: RunFolder, name: str, seeds: int, other: Path | None, clip: str | None, device: str, out: Path | None = None
) -> None:
    """Print a table like one of the paper's, training what it needs, and keep it in `out`, else the run's `eval/tables/`."""
    if (name == "cross") != (other is not None):
        raise UserError("aadc-table cross and --other RUN, a second data set's run, belong together: give both or neither")
    if other is not None and other.resolve() == run.path.resolve():
        raise UserError(f"{other}: --other is this very run; name that of a second data set")
    device = choose_device(device)
    with writing_to(out or run.eval / "tables") as folder:
        tables = _tables(run, name, seeds, other, clip, device)
        paths = keep(tables, folder)
    for one in tables.values():
        Console().print(one.terminal())
    say("kept: " + ", ".join(map(str, paths)))


def _tables(run: RunFolder, name: str, seeds: int, other: Path | None, clip: str | None, device: str) -> dict[str, PaperTable]:
    say_caution(ShardSet(run.shards), run.manifest().card.source)
    if name == "classes":
        split = test_split(run, load_head(run.head), device)
        figures = category_figures(split.categories, split.names, split.kinds)
        return {f"classes-{kind}": confusion_table(kind, figures[kind]) for kind in ("normal", "abnormal")}
    if name == "cross":
        return {"cross": _cross(run, choose_run(other), seeds, clip, device)}
    settings = ABLATION if name == "ablation" else K_GAMMA
    if name == "ablation" and not ShardSet(run.shards).has_detector:
        settings = {setting: config for setting, config in settings.items() if not config.use_detr}
        say("no detector's features in these shards: the rows with DETR are left out")
    return {name: _settings_table(run, name, settings, seeds, clip, device)}


def _settings_table(run: RunFolder, name: str, settings: dict, seeds: int, clip: str | None, device: str) -> PaperTable:
    jobs = jobs_of(run, settings, seeds, clip, device)
    _train(run, jobs)
    found = {setting: [figures_of(run, jobs[setting, seed].out, device) for seed in range(seeds)] for setting in settings}
    return over_seeds(f"{name}: %, {_over(seeds)}", "setting", found)


def _cross(run: RunFolder, other: RunFolder, seeds: int, clip: str | None, device: str) -> PaperTable:
    """Table VIII: heads of both runs on the test videos of both."""
    found, names = {}, names_of(run, other)
    for trained in (run, other):
        jobs = jobs_of(trained, PLAIN, seeds, clip, device)
        _train(trained, jobs)
        for tested in (run, other):
            tower = None if tested is trained else load_tower(ShardSet(tested.shards).models["clip"], clip)
            found[f"{names[trained]} -> {names[tested]}"] = [
                figures_of(tested, job.out, device, tower) for job in jobs.values()
            ]
    return over_seeds(f"trained on -> tested on: %, {_over(seeds)}", "data sets", found)


def names_of(run: RunFolder, other: RunFolder) -> dict[RunFolder, str]:
    """What the table calls two runs: their data sets' titles, or, where those are the same, their folders."""
    titles = {one: one.manifest().card.title for one in (run, other)}
    return titles if len(set(titles.values())) == 2 else {one: str(one.path) for one in titles}


def _train(run: RunFolder, jobs: dict) -> None:
    columns = (*Progress.get_default_columns(), MofNCompleteColumn())
    with run.lock(), Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("training heads", total=len(jobs))
        train_all(list(jobs.values()), lambda: bar.advance(task))


def _over(seeds: int) -> str:
    return "one seed" if seeds == 1 else f"mean ± deviation over {seeds} seeds"
