// What the site's classic scripts find in the page: written by the bake, or vendored.

/** What scripts say: assets/words.js, made from the table [script] of locale/. */
declare const LEAFLINEAGE_WORDS: { [key: string]: string };

/** Everything the search knows: assets/search-index.js, made by website/search.py. */
declare const LEAFLINEAGE_INDEX: any;

/** MiniSearch's UMD file: vendor/minisearch.js. */
declare const MiniSearch: any;

/** Places of concepts and families: assets/map-data.js, made by website/view_map.py. */
declare const LEAFLINEAGE_MAP: any;

/** What comparisons need, a family each: assets/compare/<slug>.js, made by website/comparing.py. */
declare var LEAFLINEAGE_COMPARE: { [slug: string]: any } | undefined;
