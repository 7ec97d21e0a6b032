"""What the numbers of an atlas assume, one plain sentence or two for each, chosen by what the run did."""

from __future__ import annotations

from leaflineage.records import AtlasFamily
from leaflineage.website.context import Site, is_built
from leaflineage.website.pages.parts import Fact
from leaflineage.website.scores import LEAST_PERCENTILE, is_scored
from leaflineage.website.view_trust import has_high_floor
from leaflineage.website.words import write_measured_percent, write_percent


def uses_semi_nmf(site: Site) -> bool:
    """Return whether the bank may take both signs."""
    methods = [each.factorization.method for each in site.index.families if each.factorization]
    return "semi-nmf" in methods or (site.index.classifier.signed and not methods)


def list_assumptions(site: Site) -> tuple[Fact, ...]:
    """Return every assumption a number of this atlas makes, by what it is about."""
    classifier = site.index.classifier
    keys = [
        ("assume.masks", "assume.masks_text"),
        ("assume.pooled", "assume.pooled_first" if classifier.pools_first else "assume.pooled_later"),
        (
            "assume.contribution",
            "assume.contribution_affine" if classifier.affine_head else "assume.contribution_other",
        ),
        ("assume.centred", "assume.centred_text"),
        ("assume.residual", "assume.residual_text"),
    ]
    if classifier.prefix_matters:
        keys.append(("assume.prefix", "assume.prefix_text"))
    facts = [Fact(site.words(term), site.words(text)) for term, text in keys]
    facts += _tell_negative(site)
    keys = [
        ("assume.intervals", "assume.intervals_exact" if classifier.affine_head else "assume.intervals_sampled"),
        ("assume.error", "assume.error_text"),
        ("assume.stability", "assume.stability_text"),
        ("assume.dominant", "assume.dominant_text"),
    ]
    return (*facts, *(Fact(site.words(term), site.words(text)) for term, text in keys), *_tell_further(site))


def _tell_negative(site: Site) -> list[Fact]:
    """Return what becomes of negative activations, where it is known whether there are any."""
    words, energy = site.words, site.index.classifier.negative_energy
    if energy is None:
        return []
    share = write_percent(energy, words)
    if energy == 0:
        text = words("assume.negative_none")
    elif uses_semi_nmf(site):
        text = words("assume.negative_semi", share=share)
    else:
        text = words("assume.negative_clipped", share=share)
    return [Fact(words("assume.negative"), text)]


def _tell_further(site: Site) -> list[Fact]:
    """Return what is assumed by figures that only some runs have."""
    words = site.words
    built = [family for family in site.index.families if is_built(family)]
    facts = []
    if any(family.factorization and family.factorization.curve for family in built):
        facts.append(Fact(words("assume.number"), words("assume.number_text")))
    if site.index.run.settings.get("concepts", {}).get("n_attributions"):
        facts.append(Fact(words("assume.attribution"), words("assume.attribution_text")))
    if any(concept.children for family in built for concept in family.concepts):
        facts.append(Fact(words("assume.inside"), words("assume.inside_text")))
    if any(family.fidelity for family in built):
        facts += [Fact(words(f"assume.{key}"), words(f"assume.{key}_text")) for key in ("deletion", "mu")]
        facts.append(Fact(words("assume.floors"), _tell_floors(site, built)))
    if any(family.completeness for family in built):
        facts.append(Fact(words("assume.complete"), words("assume.complete_text")))
    facts += _tell_scores(site, built)
    facts.append(Fact(words("assume.places"), words("assume.places_text")))
    return facts


def _tell_scores(site: Site, built: list[AtlasFamily]) -> list[Fact]:
    """Return what the scores of pictures are, those that some picture has."""
    words = site.words
    pictures = [each for family in built for concept in family.concepts for each in concept.visualizations]
    facts = []
    if any(map(is_scored, pictures)):
        facts.append(Fact(words("assume.score"), words("assume.score_text", least=round(LEAST_PERCENTILE))))
    if any(each.score and "transfer" in each.score for each in pictures):
        facts.append(Fact(words("assume.transfer"), words("assume.transfer_text")))
    if any(family.visualization and is_scored(family.visualization) for family in built):
        facts.append(Fact(words("assume.score_family"), words("assume.score_family_text")))
    if any(each.kind == "accentuation" for each in pictures):
        facts.append(Fact(words("assume.accentuation"), words("assume.accentuation_text")))
    return facts


def _tell_floors(site: Site, built: list[AtlasFamily]) -> str:
    """Return what floors are, and where one of them is so high that it has to be read with care."""
    words, text = site.words, site.words("assume.floors_text")
    high = [family.name for family in built if has_high_floor(family)]
    if not high:
        return text
    if len(high) == sum(family.fidelity is not None for family in built) > 1:
        return f"{text} {words('assume.floors_high_all')}"
    return f"{text} {words('assume.floors_high', families=words.join(high))}"


def name_mostly_unexplained(site: Site, families: list[AtlasFamily]) -> str:
    """Return which families have more than half of their score in the rest, each with its share."""
    told = [
        site.words(
            "caveat.unexplained_family",
            family=family.name,
            rest=write_measured_percent(family.rest.share, family.rest.share_interval, site.words),
        )
        for family in families
        if family.rest
    ]
    return site.words("caveat.unexplained", n=len(told), families=site.words.join(told))
