"""What each template is given: one frozen dataclass a template, nothing else, a module a page."""

from __future__ import annotations

from leaflineage.website.pages.compare import ComparePage
from leaflineage.website.pages.concept import ConceptPage
from leaflineage.website.pages.data import DataPage
from leaflineage.website.pages.families import FamiliesPage, MissingPage
from leaflineage.website.pages.family import FamilyPage
from leaflineage.website.pages.glossary import GlossaryPage
from leaflineage.website.pages.home import HomePage
from leaflineage.website.pages.map import MapPage
from leaflineage.website.pages.method import MethodPage
from leaflineage.website.pages.not_found import NotFoundPage
from leaflineage.website.pages.specimen import SpecimenPage

TEMPLATES: dict[str, type] = {
    "home.html": HomePage,
    "families.html": FamiliesPage,
    "family.html": FamilyPage,
    "missing.html": MissingPage,
    "compare.html": ComparePage,
    "concept.html": ConceptPage,
    "specimen.html": SpecimenPage,
    "map.html": MapPage,
    "method.html": MethodPage,
    "data.html": DataPage,
    "glossary.html": GlossaryPage,
    "404.html": NotFoundPage,
}
