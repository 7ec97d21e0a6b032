"""The page about the method: how the atlas was made, and how far to trust it."""

from __future__ import annotations

import statistics
from typing import Any

from leaflineage.records import Accuracy
from leaflineage.website import links, sentences
from leaflineage.website.alarms import view_alarm
from leaflineage.website.assumptions import list_assumptions, name_mostly_unexplained, uses_semi_nmf
from leaflineage.website.context import Site, is_built
from leaflineage.website.pages.method import Group, MethodPage
from leaflineage.website.pages.parts import Fact
from leaflineage.website.papers import PAPERS
from leaflineage.website.scores import is_scored, tell_passed
from leaflineage.website.view_families import explained_of, list_unlisted, reason_of
from leaflineage.website.view_trust import is_mostly_rest, tell_strips, view_strips, view_trust_rows
from leaflineage.website.words import write_decimal, write_integer, write_measured, write_percent


def view_method(site: Site) -> MethodPage:
    """Return the method page, written from the run's own settings and figures."""
    words, page, index = site.words, links.METHOD, site.index
    classifier, run = index.classifier, index.run
    built = [family for family in index.families if is_built(family)]
    missing = [family for family in index.families if not is_built(family)]
    strips = view_strips(site)
    return MethodPage(
        frame=site.make_frame(page, words("method.title"), words("method.description"), style="method"),
        sentences=(
            words("method.sentence_what", layer=classifier.layer),
            words("method.sentence_fit"),
            words(
                "method.sentence_count",
                specimens=words("count.specimens", n=index.n_specimens),
                families=words("count.families", n=len(built)),
                seed=str(run.seed),
            ),
        ),
        steps=_list_steps(site),
        assumptions=list_assumptions(site),
        strips=strips,
        strips_alt=tell_strips(site, strips) if strips else "",
        strips_caption=words("strips.caption", n=len(built)),
        trust_rows=view_trust_rows(site),
        alarm=view_alarm(site),
        classifier=_describe_classifier(site),
        figures=_list_figures(site),
        settings=_group_settings(run.settings),
        versions=tuple(Fact(name, version) for name, version in sorted(run.versions.items())),
        caveats=tuple(_list_caveats(site, len(missing))),
        missing=tuple(
            Fact(
                family.name,
                reason_of(site, family),
            )
            for family in missing
        ),
        unlisted=list_unlisted(site),
        set_aside=tuple(Fact(reason, write_integer(n)) for reason, n in sorted(index.set_aside_reasons.items())),
        papers=PAPERS,
    )


def _list_steps(site: Site) -> tuple[Fact, ...]:
    words, classifier = site.words, site.index.classifier
    rows, columns = classifier.map_size
    signed, semi = bool(classifier.negative_energy), uses_semi_nmf(site)
    return (
        Fact(
            words("method.features"),
            words("method.features_signed" if signed else "method.features_text", rows=rows, columns=columns),
        ),
        Fact(
            words("method.factorize"),
            words("method.factorize_semi" if semi else "method.factorize_text", fit_on=site.index.run.fit_on),
        ),
        Fact(
            words("method.rank"),
            words("method.rank_exact") if classifier.affine_head else _tell_sampling(site),
        ),
        Fact(words("method.share"), words("method.share_text")),
        Fact(words("method.sign"), words("method.sign_text")),
        Fact(words("method.crops"), words("method.crops_text")),
        *_tell_pictures(site),
    )


def _tell_pictures(site: Site) -> list[Fact]:
    """Return how pictures were made, with what the run set, and what became of those that did not pass."""
    words, settings = site.words, site.index.run.settings.get("visualize", {})
    told = []
    if {"size", "crops", "steps"} <= settings.keys():
        places = {name: settings[name] for name in ("size", "crops", "steps")}
        told.append(words("method.visualize_settings", **places))
    if "spectrum" in settings:
        told.append(words("method.visualize_all" if settings["spectrum"] == "all" else "method.visualize_own"))
    if settings.get("n_visualizations", 1) > 1:
        told.append(words("method.visualize_views", n=settings["n_visualizations"]))
    facts = [Fact(words("method.visualize"), words("method.visualize_text"))]
    if told:
        facts.append(Fact(words("method.visualize_set"), " ".join(told)))
    built = [family for family in site.index.families if is_built(family)]
    if any(is_scored(each) for family in built for concept in family.concepts for each in concept.visualizations):
        facts.append(Fact(words("method.accentuate"), words("method.accentuate_text")))
    if any(family.visualization for family in built):
        facts.append(Fact(words("method.whole"), words("method.whole_text")))
    return facts


def _tell_sampling(site: Site) -> str:
    """Return how importance was sampled, and until when, where the run says so."""
    words, settings = site.words, site.index.run.settings.get("importance", {})
    if not {"half_width", "max_evaluations"} <= settings.keys():
        return words("method.rank_sampled")
    until = words(
        "method.rank_sampled_until",
        half_width=write_decimal(settings["half_width"], 3 if settings["half_width"] < 0.01 else 2),
        most=write_integer(settings["max_evaluations"]),
    )
    return f"{words('method.rank_sampled')} {until}"


def _describe_classifier(site: Site) -> tuple[Fact, ...]:
    words, classifier = site.words, site.index.classifier
    facts = [
        Fact(words("method.name"), classifier.name),
        Fact(words("method.architecture"), classifier.architecture),
        Fact(words("method.layer"), classifier.layer),
        Fact(
            words("method.head"),
            words("method.head_affine") if classifier.affine_head else words("method.head_other"),
        ),
        Fact(
            words("method.pooling"),
            words("method.pools_first") if classifier.pools_first else words("method.pools_later"),
        ),
        Fact(
            words("method.input"),
            words("method.input_text", height=classifier.input_size[0], width=classifier.input_size[1]),
        ),
        Fact(
            words("method.map"),
            words("method.map_text", rows=classifier.map_size[0], columns=classifier.map_size[1]),
        ),
        Fact(
            words("method.outputs"),
            words(
                "method.outputs_text",
                n=classifier.n_outputs,
                named=classifier.n_outputs - len(classifier.unnamed_outputs),
            ),
        ),
    ]
    if classifier.accuracy and classifier.accuracy.top1 is not None:
        facts.append(Fact(words("method.accuracy"), _write_accuracy(site, classifier.accuracy)))
        if classifier.accuracy.top5 is not None:
            facts.append(Fact(words("method.top5"), write_decimal(classifier.accuracy.top5)))
    facts += [Fact(words("method.notes"), note) for note in classifier.notes]
    facts.append(Fact(words("method.weights"), classifier.sha256))
    return tuple(facts)


def _write_accuracy(site: Site, accuracy: Accuracy) -> str:
    words = site.words
    split = words("method.split_held_out") if sentences.is_held_out(accuracy) else words("method.split_all")
    return words(
        "method.accuracy_split",
        value=write_measured(accuracy.top1 or 0.0, accuracy.interval, words),
        counted=sentences.count_accuracy(words, accuracy),
        split=split,
        chance=write_decimal(accuracy.chance),
    )


def _list_figures(site: Site) -> tuple[Fact, ...]:
    words, index = site.words, site.index
    built = [family for family in index.families if is_built(family)]
    explained = [value for family in built if (value := explained_of(family)) is not None]
    facts = [
        Fact(words("method.specimens"), write_integer(index.n_specimens)),
        Fact(words("method.set_aside_n"), write_integer(index.n_set_aside)),
        Fact(words("method.families"), write_integer(len(built))),
        Fact(words("method.n_concepts"), write_integer(sum(len(family.concepts) for family in built))),
    ]
    passed = tell_passed(site)
    if passed is not None:
        facts.append(Fact(words("method.pictures"), passed))
    if explained:
        facts.append(Fact(words("method.explained"), write_percent(statistics.median(explained), words)))
    facts.append(Fact(words("method.seed"), str(index.run.seed)))
    if index.version:
        facts.append(Fact(words("method.version"), index.version))
    if index.date:
        facts.append(Fact(words("method.date"), index.date))
    if index.generator:
        made_by = " ".join(str(value) for _, value in sorted(index.generator.items()))
        facts.append(Fact(words("method.generator"), made_by))
    facts.append(Fact(words("method.fingerprint"), index.run.config_fingerprint))
    return tuple(facts)


def _list_caveats(site: Site, n_missing: int) -> list[str]:
    words, index = site.words, site.index
    n_min = find_setting(index.run.settings, "min_specimens")
    caveats = [
        words("caveat.direction"),
        words("caveat.exact") if index.classifier.affine_head else words("caveat.sampled"),
        words("caveat.sign"),
        words("caveat.visualization"),
        words("caveat.absence"),
        words("caveat.score", n=index.classifier.n_outputs),
        words("caveat.wrong_by_design", images=words("count.images", n=n_min))
        if n_min
        else words("caveat.wrong_by_design_plain"),
    ]
    unexplained = [family for family in index.families if is_built(family) and is_mostly_rest(family)]
    if unexplained:
        caveats.insert(0, name_mostly_unexplained(site, unexplained))
    if index.drawn:
        caveats[:0] = [words("drawn.sentence"), words("drawn.planted")]
    if any(family.order for family in index.families):
        caveats.append(words("caveat.apg"))
    if index.classifier.unnamed_outputs:
        caveats.append(words("caveat.unnamed", n=len(index.classifier.unnamed_outputs)))
    if n_missing:
        caveats.append(words("caveat.missing", n=n_missing))
    return caveats


def find_setting(settings: dict[str, Any], name: str) -> Any:
    """Return the value of a setting, wherever its section is, or None."""
    for section in settings.values():
        if isinstance(section, dict) and name in section:
            return section[name]
    return settings.get(name)


def _group_settings(settings: dict[str, Any]) -> tuple[Group, ...]:
    loose = {name: value for name, value in settings.items() if not isinstance(value, dict)}
    sections = {name: value for name, value in settings.items() if isinstance(value, dict) and value}
    groups = [("", loose)] if loose else []
    groups += sorted(sections.items())
    return tuple(
        Group(heading, tuple(Fact(name, write_setting(value)) for name, value in sorted(section.items())))
        for heading, section in groups
    )


def write_setting(value: Any) -> str:
    """Return a setting's value as a reader of TOML would write it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "–"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(write_setting(each) for each in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name} = {write_setting(each)}" for name, each in sorted(value.items())) + "}"
    return str(value)
