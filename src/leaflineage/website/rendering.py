"""Turn a template and its dataclass into a page."""

from __future__ import annotations

import contextlib
import hashlib
import pickle
import re
import sys
from collections.abc import Callable, MutableMapping
from dataclasses import fields
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from types import CodeType
from typing import Any, cast

import jinja2
import jinja2.bccache
import jinja2.runtime
from markupsafe import Markup, escape

from leaflineage.errors import SiteError
from leaflineage.resources import find_resource
from leaflineage.website.pages import TEMPLATES
from leaflineage.website.words import (
    Words,
    write_decimal,
    write_integer,
    write_interval,
    write_length,
    write_percent,
    write_percent_interval,
    write_signed,
)

WORDS = re.compile(r"""\{\{ w\("([a-z0-9_.]+)"\) \}\}""")  # a sentence without places


class _WordedTemplates(jinja2.FileSystemLoader):
    """Templates in which sentences without places, of which a page has dozens, stand already."""

    def __init__(self, folder: Path, words: Words) -> None:
        super().__init__(folder)
        self._words = words

    def get_source(self, environment: jinja2.Environment, template: str) -> tuple[str, str, Callable[[], bool]]:
        source, path, is_fresh = super().get_source(environment, template)
        return WORDS.sub(self._say, source), path, is_fresh

    def _say(self, found: re.Match[str]) -> str:
        try:
            said = str(escape(self._words(found[1])))
        except SiteError:
            return found[0]  # a page that comes to it says what is missing
        return found[0] if "{" in said else said


def make_environment(words: Words) -> jinja2.Environment:
    """Return the templates' environment: strict, escaping, with the words and the ways to write numbers."""
    environment = jinja2.Environment(
        loader=_WordedTemplates(find_resource("templates"), words),
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        auto_reload=False,
    )
    environment.policies["json.dumps_kwargs"] = {"sort_keys": True, "separators": (",", ":")}
    environment.globals["w"] = words
    environment.filters["percent"] = lambda fraction: write_percent(fraction, words)
    environment.filters["length_percent"] = write_length
    environment.filters["place"] = lambda fraction: write_length(fraction, 1)
    environment.filters["decimal"] = write_decimal
    environment.filters["signed"] = write_signed
    environment.filters["interval"] = lambda span: write_interval(span, words)
    environment.filters["signed_interval"] = lambda span: write_interval(span, words, write_signed)
    environment.filters["percent_interval"] = lambda span: write_percent_interval(span, words)
    environment.filters["thousands"] = write_integer
    return environment


@lru_cache(maxsize=1 << 14)
def _escape_text(text: str) -> Markup:
    return escape(text)


def escape_quickly(value: Any) -> str:
    """Return what `markupsafe.escape` does: numbers at once, and texts, which stand on many pages, from memory."""
    kind = type(value)
    if kind is str:
        return _escape_text(value)
    if kind is Markup:
        return cast(str, value)
    return str(value) if kind is int or kind is float else escape(value)


class _QuickTemplate(jinja2.Template):
    """A template whose compiled code escapes with `escape_quickly`."""

    @classmethod
    def from_code(
        cls,
        environment: jinja2.Environment,
        code: CodeType,
        globals: MutableMapping[str, Any],  # noqa: A002
        uptodate: Callable[[], bool] | None = None,
    ) -> jinja2.Template:
        """Return a template of compiled code."""
        template = super().from_code(environment, code, globals, uptodate)
        template.root_render_func.__globals__["escape"] = escape_quickly
        return template


class _QuickContext(jinja2.runtime.Context):
    """A context that calls words and macros, of which a page has hundreds, without asking what else they might be."""

    def call(__self, __obj: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:  # noqa: N805
        kind = type(__obj)
        if kind is not Words and kind is not jinja2.runtime.Macro:
            return super().call(__obj, *args, **kwargs)
        kwargs.pop("_block_vars", None)
        kwargs.pop("_loop_vars", None)
        return __obj(*args, **kwargs) if kind is Words else __obj(__self.eval_ctx, *args, **kwargs)


class CompiledTemplates(jinja2.FileSystemBytecodeCache):
    """Templates as they were compiled, beside their sources, as Python's own modules are: trusted as these are.

    Where the folder cannot be written, or Python is told to write no bytecode, they are compiled each time.

    Parameters
    ----------
    folder
        Of the templates.
    words
        Which filters of constants, worked out once and for all, may be made of.
    """

    def __init__(self, folder: Path, words: Words) -> None:
        super().__init__(str(folder / "__pycache__"), "%s.jinja")
        here = Path(__file__)
        code = [path.read_text(encoding="utf-8") for path in (here, here.with_name("words.py"))]
        text = "\0".join([metadata.version("jinja2"), *code, repr(words.entries)])
        self._made_by = hashlib.sha256(text.encode("utf-8")).hexdigest()

    def get_source_checksum(self, source: str) -> str:
        """Return what tells the code of a template from that of another, or by another version of ours or Jinja's."""
        return super().get_source_checksum(self._made_by + source)

    def load_bytecode(self, bucket: jinja2.bccache.Bucket) -> None:
        """Load a template's code where there is any."""
        try:
            super().load_bytecode(bucket)
        except (OSError, pickle.UnpicklingError, EOFError, ValueError):  # a damaged file
            bucket.reset()

    def dump_bytecode(self, bucket: jinja2.bccache.Bucket) -> None:
        """Keep a template's code where that is possible."""
        if not sys.dont_write_bytecode:
            with contextlib.suppress(OSError):
                Path(self.directory).mkdir(exist_ok=True)
                super().dump_bytecode(bucket)


def make_renderer(words: Words) -> Callable[[str, Any], str]:
    """Return a function from a template's name and its dataclass to a page."""
    environment = make_environment(words)
    environment.template_class, environment.context_class = _QuickTemplate, _QuickContext
    environment.getattr = getattr  # type: ignore[assignment, method-assign]  # views are dataclasses: they have it
    environment.bytecode_cache = CompiledTemplates(find_resource("templates"), words)

    def render(template: str, view: Any) -> str:
        if type(view) is not TEMPLATES[template]:
            raise SiteError(
                f"{template} takes a {TEMPLATES[template].__name__}, and was given a {type(view).__name__}."
            )
        try:
            places = {each.name: getattr(view, each.name) for each in fields(TEMPLATES[template])}
            return environment.get_template(template).render(places)
        except jinja2.UndefinedError as error:
            raise SiteError(f"{template}: {error.message}. Declare it in website/pages.") from error
        except AttributeError as error:
            raise SiteError(f"{template}: {error}. Declare it in website/pages.") from error

    return render
