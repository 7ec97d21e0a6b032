"""What to cite, as references and as BibTeX: the three papers of the method, the pictures' sources, the atlas."""

from __future__ import annotations

from leaflineage.records import Index
from leaflineage.website.pages.home import Paper

PAPERS = (
    Paper(
        authors="Fel, Picard, Béthune, Boissin, Vigouroux, Colin, Cadène, Serre",
        title="CRAFT: Concept Recursive Activation FacTorization for Explainability",
        venue="CVPR 2023",
        href="https://arxiv.org/abs/2211.10154",
        anchor="bibtex-craft",
        bibtex="""@inproceedings{fel2023craft,
  title     = {{CRAFT}: Concept Recursive Activation {FacTorization} for Explainability},
  author    = {Fel, Thomas and Picard, Agustin and B{\\'e}thune, Louis and Boissin, Thibaut and
               Vigouroux, David and Colin, Julien and Cad{\\`e}ne, R{\\'e}mi and Serre, Thomas},
  booktitle = {Proceedings of the IEEE/CVF Conference on Computer Vision and Pattern Recognition (CVPR)},
  year      = {2023},
  eprint    = {2211.10154},
  archivePrefix = {arXiv}
}""",
    ),
    Paper(
        authors="Fel, Boutin, Moayeri, Cadène, Béthune, Andéol, Chalvidal, Serre",
        title="A Holistic Approach to Unifying Automatic Concept Extraction and Concept Importance Estimation",
        venue="NeurIPS 2023",
        href="https://arxiv.org/abs/2306.07304",
        anchor="bibtex-holistic",
        bibtex="""@inproceedings{fel2023holistic,
  title     = {A Holistic Approach to Unifying Automatic Concept Extraction and Concept Importance Estimation},
  author    = {Fel, Thomas and Boutin, Victor and Moayeri, Mazda and Cad{\\`e}ne, R{\\'e}mi and
               B{\\'e}thune, Louis and And{\\'e}ol, L{\\'e}o and Chalvidal, Mathieu and Serre, Thomas},
  booktitle = {Advances in Neural Information Processing Systems (NeurIPS)},
  year      = {2023},
  eprint    = {2306.07304},
  archivePrefix = {arXiv}
}""",
    ),
    Paper(
        authors="Fel, Boissin, Boutin, Picard, Novello, Colin, Linsley, Rousseau, Cadène, Goetschalckx, Gardes, Serre",
        title="Unlocking Feature Visualization for Deeper Networks with MAgnitude Constrained Optimization",
        venue="NeurIPS 2023",
        href="https://arxiv.org/abs/2306.06805",
        anchor="bibtex-maco",
        bibtex="""@inproceedings{fel2023maco,
  title     = {Unlocking Feature Visualization for Deeper Networks with {MAgnitude} Constrained Optimization},
  author    = {Fel, Thomas and Boissin, Thibaut and Boutin, Victor and Picard, Agustin and Novello, Paul and
               Colin, Julien and Linsley, Drew and Rousseau, Tom and Cad{\\`e}ne, R{\\'e}mi and
               Goetschalckx, Lore and Gardes, Laurent and Serre, Thomas},
  booktitle = {Advances in Neural Information Processing Systems (NeurIPS)},
  year      = {2023},
  eprint    = {2306.06805},
  archivePrefix = {arXiv}
}""",
    ),
)

DRAWN = Paper(
    authors="LeafLineage",
    title="The drawn herbarium",
    venue="drawn by a program, to test the method",
    href="",
    anchor="bibtex-herbarium",
    bibtex="""@misc{leaflineage-herbarium,
  title        = {The drawn herbarium},
  author       = {{LeafLineage}},
  howpublished = {Leaves drawn by a program whose anatomy is known, part of the software}
}""",
)

DATASETS = {  # by a word that stands in the name of a source
    "swedish": Paper(
        authors="Söderkvist",
        title="Computer Vision Classification of Leaves from Swedish Trees",
        venue="Master’s thesis, Linköping University, 2001",
        href="",
        anchor="bibtex-swedish",
        bibtex="""@mastersthesis{soderkvist2001leaves,
  title  = {Computer Vision Classification of Leaves from {Swedish} Trees},
  author = {S{\\"o}derkvist, Oskar},
  school = {Link{\\"o}ping University},
  year   = {2001}
}""",
    ),
    "flavia": Paper(
        authors="Wu, Bao, Xu, Wang, Chang, Xiang",
        title="A Leaf Recognition Algorithm for Plant Classification Using Probabilistic Neural Network",
        venue="ISSPIT 2007",
        href="https://arxiv.org/abs/0707.4289",
        anchor="bibtex-flavia",
        bibtex="""@inproceedings{wu2007flavia,
  title     = {A Leaf Recognition Algorithm for Plant Classification Using Probabilistic Neural Network},
  author    = {Wu, Stephen Gang and Bao, Forrest Sheng and Xu, Eric You and Wang, Yu-Xuan and Chang, Yi-Fan and
               Xiang, Qiao-Liang},
  booktitle = {IEEE International Symposium on Signal Processing and Information Technology (ISSPIT)},
  year      = {2007},
  eprint    = {0707.4289},
  archivePrefix = {arXiv}
}""",
    ),
    "leafsnap": Paper(
        authors="Kumar, Belhumeur, Biswas, Jacobs, Kress, Lopez, Soares",
        title="Leafsnap: A Computer Vision System for Automatic Plant Species Identification",
        venue="ECCV 2012",
        href="https://doi.org/10.1007/978-3-642-33709-3_36",
        anchor="bibtex-leafsnap",
        bibtex="""@inproceedings{kumar2012leafsnap,
  title     = {{Leafsnap}: A Computer Vision System for Automatic Plant Species Identification},
  author    = {Kumar, Neeraj and Belhumeur, Peter N. and Biswas, Arijit and Jacobs, David W. and Kress, W. John and
               Lopez, Ida C. and Soares, Jo{\\~a}o V. B.},
  booktitle = {European Conference on Computer Vision (ECCV)},
  year      = {2012},
  doi       = {10.1007/978-3-642-33709-3_36}
}""",
    ),
    "extant leaves": Paper(
        authors="Wilf, Wing, Meyer, Rose, Saha, Serre, Cúneo, Donovan, Erwin, Gandolfo, González-Akre, Herrera, Hu, "
        "Iglesias, Johnson, Karim, Zou",
        title="An image dataset of cleared, x-rayed, and fossil leaves vetted to plant family for human and machine "
        "learning",
        venue="PhytoKeys 187, 2021",
        href="https://doi.org/10.3897/phytokeys.187.72350",
        anchor="bibtex-extant",
        bibtex="""@article{wilf2021image,
  title   = {An image dataset of cleared, x-rayed, and fossil leaves vetted to plant family for human and machine
             learning},
  author  = {Wilf, Peter and Wing, Scott L. and Meyer, Herbert W. and Rose, Jacob A. and Saha, Rohit and Serre, Thomas
             and C{\\'u}neo, N. Rub{\\'e}n and Donovan, Michael P. and Erwin, Diane M. and Gandolfo, Maria A. and
             Gonz{\\'a}lez-Akre, Erika and Herrera, Fabiany and Hu, Shusheng and Iglesias, Ari and Johnson, Kirk R. and
             Karim, Talia S. and Zou, Xiaoyu},
  journal = {PhytoKeys},
  volume  = {187},
  pages   = {93--128},
  year    = {2021},
  doi     = {10.3897/phytokeys.187.72350}
}""",
    ),
}


def list_datasets(index: Index) -> tuple[tuple[Paper, ...], list[str]]:
    """Return the sets of pictures that an atlas was made from and how to cite them, and the sources not known here."""
    if index.drawn:
        return (DRAWN,), []
    sources = sorted({source for family in index.families for source in family.source_shares})
    known: dict[str, Paper] = {}
    unknown = []
    for source in sources:
        words = [word for word in DATASETS if word in source.lower()]
        known.update({word: DATASETS[word] for word in words})
        unknown += [] if words else [source]
    if "extant leaves" in index.title.lower():
        known["extant leaves"] = DATASETS["extant leaves"]
    return tuple(known[word] for word in sorted(known)), unknown


def cite_atlas(index: Index, url: str | None, venue: str) -> Paper:
    """Return how to cite this atlas: with its version and, where they are stated, authors, date, DOI and address."""
    version = index.version or ""
    year = (index.date or "")[:4]
    fields = {
        "title": f"{{{escape_tex(index.title)}}}",
        "author": " and ".join(f"{{{escape_tex(author)}}}" for author in index.authors),
        "year": year,
        "version": escape_tex(version),
        "doi": index.doi or "",
        "url": f"https://doi.org/{index.doi}" if index.doi else url or "",
        "note": f"Made with {escape_tex(' '.join(str(value) for _, value in sorted(index.generator.items())))}"
        if index.generator
        else "",
    }
    lines = [f"  {name:<7} = {{{text}}}" for name, text in fields.items() if text]
    return Paper(
        authors=", ".join(index.authors),
        title=index.title,
        venue=venue,
        href=fields["url"],
        anchor="bibtex-atlas",
        bibtex="@misc{leaflineage-atlas,\n" + ",\n".join(lines) + "\n}",
    )


def escape_tex(text: str) -> str:
    """Return text whose marks mean nothing to TeX."""
    marks = {"\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    marks |= {mark: f"\\{mark}" for mark in "&%$#_"}
    return "".join(marks.get(mark, mark) for mark in text)
