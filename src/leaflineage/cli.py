"""The command line: parse, call, print.

Exit codes: 0 done, 1 our error, 2 wrong usage, 75 stopped by a scheduler (SIGTERM), 130 by Ctrl-C.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any, TypeVar

import click

from leaflineage import __version__
from leaflineage.errors import ConfigError, LeafLineageError

if TYPE_CHECKING:
    from leaflineage.config import Config

Command = TypeVar("Command", bound=Callable[..., Any])


class _Terminated(BaseException):
    """A scheduler asked us to stop."""


def _terminate(*_: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # one is enough: schedulers send it to a whole group, and again
    raise _Terminated


class _Group(click.Group):
    """Turns our errors into one message and exit code 1, Ctrl-C into one line and 130, SIGTERM into one and 75."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run the command line."""
        kwargs["standalone_mode"] = False
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, _terminate)
        try:
            result = super().main(*args, **kwargs)
            sys.exit(result if isinstance(result, int) else 0)
        except LeafLineageError as error:
            click.echo(f"{type(error).__name__}: {error}", err=True)
            sys.exit(1)
        except (click.exceptions.Abort, KeyboardInterrupt):
            click.echo("Stopped. What is finished is kept; the same command goes on from there.", err=True)
            sys.exit(130)
        except _Terminated:
            click.echo("Stopped by SIGTERM. What is finished is kept; the same command goes on from there.", err=True)
            sys.exit(75)
        except click.ClickException as error:
            error.show()
            sys.exit(error.exit_code)
        except BrokenPipeError:
            sys.exit(0)


def _common(command: Command) -> Command:
    """Give a command the options that lay over a config."""
    for option in reversed(
        [
            click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Lay a value over the config."),
            click.option("--families", metavar="A,B", help="Build these families only."),
            click.option("--run", "run", type=click.Path(path_type=Path), help="Run folder [runs/<name>]."),
            click.option("--out", type=click.Path(path_type=Path), help="Folder of the site [<run>/site]."),
            click.option("--seed", type=click.IntRange(min=0), help="Seed of everything random."),
            click.option("--device", help='Where to compute: "auto", "cpu", "cuda".'),
            click.option("--jobs", type=click.IntRange(min=0), help="Processes; 0 for one a core."),
            click.option("--quiet", is_flag=True, help="Print errors only."),
        ]
    ):
        command = option(command)
    return command


def _load(config: Path | None, overrides: tuple[str, ...], **flags: Any) -> Config:
    """Return the config (the drawn herbarium unless one is named), once all it names is there."""
    from leaflineage.config import check_paths, load_config
    from leaflineage.resources import find_resource

    path = config or find_resource("configs") / "herbarium.toml"
    families = flags.get("families")
    settings = load_config(
        path,
        overrides=overrides,
        flags={
            "atlas.families": _split_names(families) or None,
            "run.seed": flags.get("seed"),
            "run.device": flags.get("device"),
            "run.jobs": flags.get("jobs"),
        },
    )
    check_paths(settings, path)
    return settings


def _split_names(text: str | None) -> list[str]:
    """Return the names of a comma-separated list."""
    return [name.strip() for name in (text or "").split(",") if name.strip()]


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="leaflineage")
def main() -> None:
    """Turn an image classifier of plant families into an explorable atlas of its visual concepts."""


class _ShardType(click.ParamType):  # type: ignore[type-arg]  # generic in some versions of click only
    """A part of a build, as "2/8"."""

    name = "i/n"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Read "2/8"."""
        from leaflineage.pipeline import Shard

        number, slash, count = str(value).partition("/")
        if not (slash and number.isdecimal() and count.isdecimal() and 0 <= int(number) <= int(count) > 0):
            self.fail(f"{value!r} is no part of a build: say 1/4, 2/4, 3/4 and 4/4 for four parts.", param, ctx)
        return Shard(int(number), int(count))


@main.command()
@click.argument("config", required=False, type=click.Path(path_type=Path))
@_common
@click.option("--shard", type=_ShardType(), help="Build one part of the families, as 2/8; join with merge.")
@click.option("--ray", metavar="ADDRESS", help='Run tasks on a Ray cluster: its HOST:PORT, or "auto".')
@click.option("--mixed", is_flag=True, help="Let workers of another processor or other versions join (--ray).")
@click.option("--strict", is_flag=True, help="End with 1 where specimens or families were set aside.")
def build(config: Path | None, overrides: tuple[str, ...], run: Path | None, out: Path | None, **flags: Any) -> None:
    """Build an atlas and its site: CONFIG, or the drawn herbarium where none is named."""
    from rich.console import Console

    from leaflineage.pipeline import build as build_atlas
    from leaflineage.progress import TerminalReporter

    if flags["mixed"] and flags["ray"] is None:
        raise click.UsageError("--mixed speaks of the workers of a Ray cluster: name one with --ray.")
    settings = _load(config, overrides, **flags)
    folder = run or Path("runs") / settings.name
    with TerminalReporter(Console(), quiet=flags["quiet"]) as reporter:
        chosen = {name: flags[name] for name in ("shard", "ray", "mixed")}
        report = build_atlas(settings, folder, out=out, reporter=reporter, **chosen)
    if not flags["quiet"]:
        _print_report(report, folder)
    _judge_report(report, strict=flags["strict"])


@main.command()
@click.argument("parts", nargs=-1, type=click.Path(path_type=Path))
@click.option("--config", type=click.Path(path_type=Path), help="The config of the parts [the drawn herbarium].")
@_common
@click.option("--build-missing", is_flag=True, help="Build here what no part has.")
@click.option("--strict", is_flag=True, help="End with 1 where specimens or families were set aside.")
def merge(
    parts: tuple[Path, ...],
    config: Path | None,
    overrides: tuple[str, ...],
    run: Path | None,
    out: Path | None,
    **flags: Any,
) -> None:
    """Join the PARTS of a build, run folders of `build --shard`, and make the atlas and its site.

    Without PARTS, all parts worked in the run folder itself.
    """
    from rich.console import Console

    from leaflineage.merging import merge as merge_parts
    from leaflineage.progress import TerminalReporter

    settings = _load(config, overrides, **flags)
    folder = run or Path("runs") / settings.name
    with TerminalReporter(Console(), quiet=flags["quiet"]) as reporter:
        report = merge_parts(settings, folder, parts, out=out, reporter=reporter, build_missing=flags["build_missing"])
    if not flags["quiet"]:
        _print_report(report, folder)
    _judge_report(report, strict=flags["strict"])


@main.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--config", type=click.Path(path_type=Path), help="A config to hold it against [what it was built with].")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Lay a value over the config.")
def status(run: Path, config: Path | None, overrides: tuple[str, ...]) -> None:
    """Say what of a RUN is fresh, what is stale and why, and who works on it. Touches nothing."""
    from leaflineage.upkeep import describe_status, name_families, write_status

    settings = _load_for(run, config, overrides)
    found = describe_status(settings, run)
    for line in write_status(found, name_families(settings, run)):
        click.echo(line)
    click.echo(
        "All is fresh."
        if not found.n_stale
        else f"{found.n_stale} artifacts are stale: `leaflineage build` makes them."
    )


@main.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--config", type=click.Path(path_type=Path), help="A config to hold it against [what it was built with].")
@click.option("--remove", is_flag=True, help="Remove what is listed.")
def clean(run: Path, config: Path | None, remove: bool) -> None:
    """List what lies in a RUN and no build of its config wants; with --remove, remove it."""
    from leaflineage.upkeep import find_garbage, remove_garbage

    settings = _load_for(run, config, ())
    garbage = find_garbage(settings, run)
    if not garbage:
        click.echo(f"{run}: nothing lies there that is not wanted.")
        return
    by_reason: dict[str, list[Any]] = {}
    for each in garbage:
        by_reason.setdefault(each.reason, []).append(each)
    for reason, found in by_reason.items():
        noun = "file" if len(found) == 1 else "files"
        click.echo(f"{len(found)} {noun}, {sum(each.size for each in found) / 1e6:.1f} MB: {reason}")
        for each in found[:5]:
            click.echo(f"  {each.path}")
    if remove:
        click.echo(f"Removed: {remove_garbage(settings, run, garbage) / 1e6:.1f} MB are free again.")
    else:
        click.echo("Nothing was removed: say --remove.")


@main.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--config", type=click.Path(path_type=Path), help="A config that names the file [the run's own].")
@click.option("--file", type=click.Path(path_type=Path), help="The experts' names [the config's [anatomy] names].")
@click.option("--propose", is_flag=True, help="Print a ready line for each concept that has none, and nothing else.")
@click.option("--check", is_flag=True, help="Exit with 1 where a name is lost or a term unknown.")
@click.option("--keep", is_flag=True, help="Keep what is named beside the file, so that names outlive other runs.")
def names(run: Path, config: Path | None, file: Path | None, propose: bool, check: bool, keep: bool) -> None:
    """List the concepts of a finished RUN with their names; check, propose, keep the experts' lines."""
    from leaflineage import naming

    place = file or _load_for(run, config, ()).anatomy.names
    if place is None and (check or keep):
        raise ConfigError(
            "A file of names was wanted, and neither --file nor [anatomy] names of the config says which. Name one; "
            "`leaflineage names RUN --propose > names.toml` writes a first one."
        )
    found = naming.read_naming(run, place)
    for line in naming.write_proposals(found) if propose else naming.write_list(found):
        click.echo(line)
    if keep:
        beside, n = naming.keep(found)
        click.echo(f"{beside} holds the directions of {n} named {'concept' if n == 1 else 'concepts'}.", err=propose)
    problems = naming.find_problems(found) if check else []
    if problems:
        lines = [f"{place}: {len(problems)} of its lines are wrong:", *(f"  - {each}" for each in problems)]
        raise ConfigError("\n".join(lines))


def _load_for(run: Path, config: Path | None, overrides: tuple[str, ...]) -> Config:
    """Return the config that is named, or the one that a run was built with last."""
    if config is not None:
        return _load(config, overrides)
    if overrides:
        raise click.UsageError("--set is laid over a config file: name it with --config.")
    from leaflineage.upkeep import read_config

    return read_config(run)


def _judge_report(report: Any, *, strict: bool) -> None:
    """Raise where a build's site is wrong or, if strict, where anything was set aside."""
    if report.problems:
        raise LeafLineageError(
            f"The site at {report.site} is written, and {len(report.problems)} things on it are wrong:\n"
            + "\n".join(f"  - {problem}" for problem in report.problems[:20])
        )
    if strict and (report.set_aside or report.missing):
        raise LeafLineageError(
            f"--strict allows nothing to be set aside, and {len(report.set_aside)} specimens and "
            f"{len(report.missing)} families were. The report tells each with its reason; mend or leave out what it "
            "names, or build without --strict."
        )


def _print_report(report: Any, folder: Path) -> None:
    """Print what a build did: time a stage, what was reused, what was set aside and why, memory, where the site is."""
    if report.all_fresh:
        click.echo("All is fresh: nothing had to be made.")
    else:
        spent = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in report.seconds.items() if seconds >= 0.5)
        click.echo(f"Done: {spent}; largest process {report.peak_mb / 1024:.1f} GB.")
        made = sum(len(slugs) for slugs in report.built.values())
        reused = sum(report.reused.values())
        if reused:
            click.echo(f"{made} artifacts were made, {reused} were fresh and used again.")
    for note in report.notes:
        click.echo(f"Note: {note.removesuffix('.')}.")
    if report.set_aside:
        noun = "specimen" if len(report.set_aside) == 1 else "specimens"
        click.echo(f"{len(report.set_aside)} {noun} set aside; reasons in {folder / 'report.json'}:")
        for name, reason in list(report.set_aside.items())[:5]:
            click.echo(f"  {name}: {reason}")
    if report.missing:
        shown = list(report.missing.items())
        more = f" and {len(shown) - 5} more" if len(shown) > 5 else ""
        click.echo(
            f"{len(shown)} {'family' if len(shown) == 1 else 'families'} without concepts: "
            + "; ".join(f"{n} ({r})" for n, r in shown[:5])
            + more
        )
    if report.shard is not None and report.shard.number == 0:
        click.echo("What the parts have in common is done: build them in this run folder, or in copies of it.")
        return
    if report.shard is not None:
        click.echo(
            f"Part {report.shard.number} of {report.shard.count} is done. When all are: `leaflineage merge`, with the "
            "same config and run folder, and the folders of the parts where they have their own."
        )
        return
    click.echo(f"{report.n_families} {'family' if report.n_families == 1 else 'families'}, {report.n_pages} pages.")
    index = (report.site / "index.html").resolve()
    click.echo(f"The site is {report.site.resolve()}")
    click.echo(f"Look at it: open {index.as_uri()} in a browser, or run `leaflineage serve {quote(str(report.site))}`.")


@main.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the site [RUN/site].")
@click.option("--base-url", help="Address the site will have, for its sitemap.")
@click.option("--images", type=click.Choice(["all", "licensed", "none"]), help="Pictures of specimens it holds.")
@click.option("--jobs", default=0, type=click.IntRange(min=0), help="Processes; 0 for one a core.")
@click.option("--quiet", is_flag=True, help="Print errors only.")
def bake(run: Path, out: Path | None, base_url: str | None, images: str | None, jobs: int, quiet: bool) -> None:
    """Bake the site of a finished RUN again, from its records alone."""
    with _hold_run(run):
        site, n_pages, notes = _bake_again(run, out, {"base_url": base_url, "images": images}, jobs)
    if not quiet:
        for note in notes:
            click.echo(f"Note: {note.removesuffix('.')}.")
        click.echo(f"{n_pages} pages baked into {site.resolve()}")


def _hold_run(run: Path) -> contextlib.AbstractContextManager[None]:
    """Hold a run so that no build changes it meanwhile; one that cannot be written to is not changed by anybody."""
    from leaflineage.store import Store

    return Store(run).lock() if run.is_dir() and os.access(run, os.W_OK) else contextlib.nullcontext()


def _bake_again(run: Path, out: Path | None, given: dict[str, Any], jobs: int = 0) -> tuple[Path, int, tuple[str, ...]]:
    """Bake a run with the settings of its last build, what is given laid over them; return site, pages, notes."""
    from leaflineage.config import SiteSection, check_places
    from leaflineage.errors import ArtifactError, SiteError
    from leaflineage.store import SITE_RECORD, Store
    from leaflineage.website.bake import bake as bake_site
    from leaflineage.website.check import check_site
    from leaflineage.website.looks import MEMORY

    check_places(run, out)
    settings: dict[str, Any] = {}
    with contextlib.suppress(ArtifactError):  # a run whose site was never baked
        settings = Store(run).read_json(SITE_RECORD, "site").get("settings", {})
    settings.update({key: value for key, value in given.items() if value is not None})
    report = bake_site(run, out, jobs=jobs, **SiteSection.model_validate(settings).model_dump())
    problems = check_site(report.site, jobs=jobs, memory=run / MEMORY)
    if problems:
        lines = [f"{report.site} is written, and is wrong:", *(f"  - {each}" for each in problems[:20])]
        raise SiteError("\n".join(lines))
    return report.site, report.n_pages, report.notes


@main.command()
@click.argument("specimens", nargs=-1, required=True, metavar="ID...")
@click.option("--run", type=click.Path(path_type=Path), help="Run folder [the only one in runs/].")
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the site [RUN/site].")
@click.option("--reason", default="", help="One line, kept in the list.")
def withdraw(specimens: tuple[str, ...], run: Path | None, out: Path | None, reason: str) -> None:
    """Take specimens out of every page, crop and file of a site, for good."""
    from leaflineage.website.rights import WITHDRAWN
    from leaflineage.website.withdrawing import find_run, hold_withdrawn, withdraw_specimens

    folder = run or find_run(Path("runs"))
    with _hold_run(folder):
        done = withdraw_specimens(folder, specimens, reason=reason)
        site, n_pages, _ = _bake_again(folder, out, {})
        hold_withdrawn(site, specimens)
    click.echo(f"{', '.join(specimens)}: in none of the {n_pages} pages and no file of {site.resolve()} any more.")
    if done.same_leaf:
        click.echo(f"Other pictures of the same leaf stay: {', '.join(done.same_leaf)}.")
    click.echo(f"{folder / WITHDRAWN} keeps the list; every bake and build of this run leaves them out.")
    click.echo(
        'To leave them out of other runs too, keep the list beside the config: [specimens] withdrawn = "withdrawn.txt".'
    )
    if done.families:
        named = ", ".join(done.families)
        click.echo(f"The next build chooses other crops, and draws the overview of specimens again, for {named}.")
    click.echo(
        "What was computed with them stays, without their names: counts, importances, accuracy, concepts, feature "
        "visualizations. To take them out of the numbers, remove the pictures from [specimens] root and build again."
    )
    click.echo("What was published before stays published: upload the site again, and ask caches to forget it.")


@main.command()
@click.argument("config", required=False, type=click.Path(path_type=Path))
@_common
def plan(config: Path | None, overrides: tuple[str, ...], run: Path | None, out: Path | None, **flags: Any) -> None:
    """Say what a build would do, what is wrong, how long it will take. Touches nothing."""
    from rich.console import Console

    from leaflineage.planning import plan_build

    settings = _load(config, overrides, **flags)
    folder = run or Path("runs") / settings.name
    plan_build(settings, folder, out=out, say=Console(highlight=False, markup=False, soft_wrap=True).print)


@main.command()
@click.argument("config", type=click.Path(path_type=Path))
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Lay a value over the config.")
@click.option("--output", type=click.Path(path_type=Path), help="Folder of the classifier ([train] output).")
@click.option("--quiet", is_flag=True, help="Print errors only.")
def train(config: Path, overrides: tuple[str, ...], output: Path | None, quiet: bool) -> None:
    """Fine-tune the classifier of the drawn leaves that CONFIG describes."""
    from rich.console import Console

    from leaflineage.config import load_config
    from leaflineage.progress import TerminalReporter
    from leaflineage.stages.train import train_classifier

    settings = load_config(config, overrides=overrides)
    folder = output or settings.train.output
    if folder is None:
        raise ConfigError("A folder for the classifier was wanted, and none is given. Say --output, or [train] output.")
    with TerminalReporter(Console(), quiet=quiet) as reporter:
        facts = train_classifier(settings, folder, reporter=reporter)
    if not quiet:
        click.echo(f"Top-1 {facts['top1']:.3f} on {facts['n_held_out']} held-out drawn leaves; written to {folder}")


@main.command()
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--n", default=40, show_default=True, type=click.IntRange(1, 10_000), help="Leaves a family.")
@click.option("--size", default=256, show_default=True, type=click.IntRange(48, 2048), help="Side, pixels.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(min=0), help="Seed of the drawings.")
@click.option("--families", metavar="A,B", help="These families only.")
@click.option("--twins", metavar="TRAIT", help="Draw pairs that differ in one trait alone, instead of families.")
@click.option("--quiet", is_flag=True, help="Print errors only.")
def herbarium(
    directory: Path, n: int, size: int, seed: int, families: str | None, twins: str | None, quiet: bool
) -> None:
    """Draw leaves into DIRECTORY: pictures, zone maps, a catalogue."""
    from rich.console import Console

    from leaflineage.errors import suggest
    from leaflineage.herbarium import FAMILIES, TWINS, write_herbarium, write_twins
    from leaflineage.pipeline import check_drawn_families
    from leaflineage.progress import TerminalReporter

    if twins is not None:
        if families:
            raise click.UsageError("--twins draws two families of its own, so --families has no place beside it.")
        if twins not in TWINS:
            raise ConfigError(
                f"--twins asks for {twins}, and pairs are drawn for {', '.join(TWINS)}.{suggest(twins, TWINS)}"
            )
        write_twins(directory, twins, n=n, size=size, seed=seed)
        if not quiet:
            click.echo(f"{n} {'pair' if n == 1 else 'pairs'} of drawn leaves, not specimens, in {directory}")
        return
    names = _split_names(families) or list(FAMILIES)
    check_drawn_families(names)
    with TerminalReporter(Console(), quiet=quiet) as reporter:
        reporter.start("draw", len(names) * n, 0)
        write_herbarium(
            directory,
            families=names,
            n=n,
            size=size,
            seed=seed,
            on_drawn=lambda family, index: reporter.advance("draw", family),
        )
    if not quiet:
        click.echo(f"{len(names) * n} drawn leaves, not specimens, in {directory}")


@main.command()
@click.argument("site", type=click.Path(path_type=Path))
@click.option("--port", default=8000, show_default=True, type=click.IntRange(0, 65535))
@click.option("--base-path", default="/", show_default=True, help="Path the site is served under.")
def serve(site: Path, port: int, base_path: str) -> None:
    """Serve SITE on this machine, until Ctrl-C."""
    from leaflineage.website.serve import serve_site

    serve_site(site, port=port, base_path=base_path)


@main.command()
@click.argument("site", type=click.Path(path_type=Path))
@click.option("--publish", is_flag=True, help="Also that every picture carries licence and credit.")
def check(site: Path, publish: bool) -> None:
    """Check SITE for dead links, missing pictures, sums that are not 1, requests to others."""
    from leaflineage.errors import SiteError
    from leaflineage.website.check import check_site
    from leaflineage.website.publishing import check_publishing

    problems = check_site(site, jobs=0)
    if publish:
        problems += check_publishing(site)
    if problems:
        lines = [f"{site} has {len(problems)} problems:", *(f"  - {problem}" for problem in problems)]
        raise SiteError("\n".join(lines))
    click.echo(f"{site}: nothing wrong found.")


class _SampleType(click.ParamType):  # type: ignore[type-arg]  # generic in some versions of click only
    """How many families, or which: "3", "Betulaceae,Fagaceae"."""

    name = "n|a,b"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Read a number, or names."""
        text = str(value).strip()
        names = tuple(_split_names(text))
        if not names:
            self.fail(f"{value!r} names no family: say how many, as 3, or which, as Betulaceae,Fagaceae.", param, ctx)
        return int(text) if text.isdecimal() else names


@main.command()
@click.argument("place", metavar="SITE_OR_RUN", type=click.Path(path_type=Path))
@click.option("--families", type=_SampleType(), default="2", show_default=True, help="How many, by chance, or which.")
@click.option("--all", "whole", is_flag=True, help="All families.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Which families chance takes.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Where specimens and classifier are.")
@click.option("--device", help='Where to compute: "auto", "cpu", "cuda".')
@click.option("--quiet", is_flag=True, help="Say nothing of what is under way.")
def verify(
    place: Path,
    families: Any,
    whole: bool,
    seed: int,
    overrides: tuple[str, ...],
    device: str | None,
    quiet: bool,
) -> None:
    """Hold SITE_OR_RUN against its hashes, and compute a sample of families again from specimens and classifier.

    A site knows no paths: --set specimens.root=… --set classifier.source=… Without them files alone are looked at.
    """
    from leaflineage import verifying
    from leaflineage.upkeep import read_config

    names = families if isinstance(families, tuple) else ()
    choice = verifying.Choice(None if whole else families if not names else 0, () if whole else names, seed)

    def say(text: str) -> None:
        if not quiet:
            click.echo(text, err=True)

    if verifying.is_run(place):
        try:
            config = read_config(place)
        except LeafLineageError:
            config = None  # files can be looked at all the same
        verdict = verifying.verify_run(place, config, overrides=overrides, device=device, choice=choice, say=say)
    else:
        verdict = verifying.verify_site(place, overrides=overrides, device=device, choice=choice, say=say)
    for line in verifying.write_verdict(verdict):
        click.echo(line)
    verifying.hold_verdict(verdict)


@main.command()
@click.argument("path", default="atlas.toml", type=click.Path(path_type=Path))
@click.option("--workflow", is_flag=True, help="Also write a workflow that builds and publishes it on GitHub Pages.")
@click.option("--shards", default=1, type=click.IntRange(1, 256), help="Let that workflow build so many parts at once.")
@click.option("--slurm", is_flag=True, help="Also write the scripts of a Slurm job array: atlas.sbatch, merge.sbatch.")
def init(path: Path, workflow: bool, shards: int, slurm: bool) -> None:
    """Write a commented config to PATH."""
    from leaflineage.resources import find_resource

    if shards > 1 and not workflow:
        raise click.UsageError("--shards speaks of the workflow: say --workflow too.")
    configs = find_resource("configs")
    files = {path: (configs / "template.toml").read_text(encoding="utf-8")}
    if workflow:
        text = (configs / ("pages.yml" if shards == 1 else "shards.yml")).read_text(encoding="utf-8")
        numbers = ", ".join(str(number) for number in range(1, shards + 1))
        for word, value in {"CONFIG": path.name, "NAME": path.stem, "NUMBERS": numbers, "SHARDS": str(shards)}.items():
            text = text.replace(word, value)
        files[path.parent / ".github" / "workflows" / "pages.yml"] = text
    for name in ("atlas.sbatch", "merge.sbatch") if slurm else ():
        files[path.parent / name] = (configs / "slurm" / name).read_text(encoding="utf-8")
    for place in files:
        if place.exists():
            raise ConfigError(
                f"{place} exists already, and is left as it is. Name another file: leaflineage init NAME.toml"
            )
    try:
        for place, text in files.items():
            if place != path:
                place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"{place} could not be written: {error.strerror}. Name a file in a folder that is there."
        ) from error
    click.echo(f"{path} written. Set [specimens] root and [classifier] source in it, then: leaflineage plan {path}")
    for place in files:
        if place != path:
            click.echo(f"{place} written; its head says how to use it.")


if __name__ == "__main__":
    main()
